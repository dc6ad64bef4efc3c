// Broker: marks, at which connections move from one worker to another.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "broker/broker.hpp"
#include "weft/position.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr StreamId kPeerStream = 77;
constexpr std::uint64_t kIncarnation = 1000;  // and the link, of a worker's

v1::Frame subscribe(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    return frame;
}

v1::Frame publish(const std::string& channel, std::uint64_t number) {
    v1::Frame frame;
    frame.mutable_publish()->set_channel(channel);
    frame.mutable_publish()->set_data(std::to_string(number));
    return frame;
}

v1::Frame mark(std::uint64_t to, std::uint64_t number = 1) {
    v1::Frame frame;
    frame.mutable_mark()->set_to(to);
    frame.mutable_mark()->set_number(number);
    return frame;
}

/// To be compared; the first byte is the kind.
std::string text_of(const v1::Frame& frame) {
    return static_cast<char>(frame.body_case()) + frame.SerializeAsString();
}

class BrokerMarks : public testing::Test, public Broker::Outbox {
protected:
    static constexpr LinkId kPeerIn = 101, kPeerOut = 102, kTool = 103;

    BrokerMarks() {
        BrokerSettings settings;
        settings.node = "a";
        broker = std::make_unique<Broker>(
            std::move(settings), [this] { return random(); }, *this);
        v1::ChannelRules rules;
        rules.set_generation(1);
        rules.add_rules()->set_pattern("kept");
        rules.mutable_rules(0)->mutable_history()->set_count(50);
        rules.mutable_rules(0)->mutable_history()->set_age_ms(3'600'000);
        broker->on_rules(rules);
        for (int i = 0; i < 30; ++i) tick();  // no longer filling up, nor gathering members
    }
    void send(LinkId link, std::string_view bytes) override {
        v1::Frame frame;
        ASSERT_TRUE(frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
        auto& queue = sent[link];
        queue.push_back(frame);
        // A mark that one of the two is sent too late.
        if (late && queue.size() > 1 && !frame.has_marked() && queue[queue.size() - 2].has_marked() &&
            queue[queue.size() - 2].marked().from() == kIncarnation + link) {
            std::swap(queue[queue.size() - 2], queue.back());
        }
    }
    void worker(LinkId link) {
        broker->on_link_up(link, LinkRole::worker, "w", now, {.incarnation = kIncarnation + link});
    }
    void frame(LinkId link, const v1::Frame& frame) { broker->on_frame(link, frame, now, WallTime{5ms}); }
    void tick() {
        now += 250ms;
        broker->on_tick(now);
    }
    /// All that the link is sent.
    std::vector<std::string> take(LinkId link) {
        std::vector<std::string> lines;
        for (const v1::Frame& frame : std::exchange(sent[link], {})) lines.push_back(text_of(frame));
        return lines;
    }

    Instant now{1'000'000ms};
    std::mt19937_64 random{1};
    std::map<LinkId, std::deque<v1::Frame>> sent;
    bool late = false;
    std::unique_ptr<Broker> broker;  // last: it is created when all else is there
};

TEST_F(BrokerMarks, StandAtTheSamePointOfWhatBothWorkersAreSent) {
    worker(1);
    worker(2);
    worker(3);
    for (const LinkId link : {1, 2, 3}) frame(link, subscribe("chat"));
    for (const LinkId link : {1, 2, 3}) sent[link].clear();
    frame(3, publish("chat", 1));
    frame(1, mark(kIncarnation + 2, 9));
    frame(3, publish("chat", 2));
    const auto to_old = take(1), to_new = take(2);
    EXPECT_EQ(to_old, to_new);
    ASSERT_EQ(to_old.size(), 3u);
    v1::Frame expected;
    expected.mutable_marked()->set_from(kIncarnation + 1);
    expected.mutable_marked()->set_number(9);
    expected.mutable_marked()->set_to(kIncarnation + 2);
    EXPECT_EQ(to_old[1], text_of(expected));
    EXPECT_EQ(take(3).size(), 2u) << "a third worker has nothing to do with it";
}

TEST_F(BrokerMarks, FailToTheAskerAloneWhenThereIsNoSuchWorker) {
    worker(1);
    worker(2);
    worker(3);
    broker->on_link_up(kTool, LinkRole::worker, "tool", now);
    broker->on_link_up(kPeerIn, LinkRole::peer_in, "b", now, {.incarnation = kIncarnation + kPeerIn});
    broker->on_link_down(3, now);
    sent.clear();
    const std::map<std::string, std::uint64_t> nobody = {
        {"unknown", 4711},          {"itself", kIncarnation + 1},       {"no number", 0},
        {"gone", kIncarnation + 3}, {"a peer", kIncarnation + kPeerIn},
    };
    for (const auto& [why, to] : nobody) {
        frame(1, mark(to, 5));
        ASSERT_EQ(sent[1].size(), 1u) << why;
        EXPECT_TRUE(sent[1].front().marked().failed()) << why;
        EXPECT_EQ(sent[1].front().marked().number(), 5u) << why;
        EXPECT_EQ(sent[1].front().marked().to(), to) << why;
        sent.erase(1);
        EXPECT_TRUE(sent.empty()) << why;
    }
    // It is back, in another session.
    worker(4);
    broker->on_link_up(5, LinkRole::worker, "w", now, {.incarnation = kIncarnation + 3});
    frame(1, mark(kIncarnation + 3));
    EXPECT_FALSE(sent[1].front().marked().failed());
    EXPECT_EQ(take(5).size(), 1u);
}

TEST_F(BrokerMarks, GoToTheNewerLinkOfAWorkerThatDialedAgain) {
    worker(1);
    for (const LinkId link : {2, 3, 4})
        broker->on_link_up(link, LinkRole::worker, "w", now, LinkGreeting{kIncarnation + 2, false});
    sent.clear();
    frame(1, mark(kIncarnation + 2));
    EXPECT_EQ(take(4).size(), 1u);
    EXPECT_TRUE(take(2).empty() && take(3).empty());
}

TEST_F(BrokerMarks, AreNoBusinessOfPeersAndTools) {
    worker(1);
    broker->on_link_up(kTool, LinkRole::worker, "tool", now);
    broker->on_link_up(kPeerIn, LinkRole::peer_in, "b", now);
    broker->on_link_up(kPeerOut, LinkRole::peer_out, "c", now);
    sent.clear();
    for (const LinkId link : {kTool, kPeerIn, kPeerOut}) frame(link, mark(kIncarnation + 1));
    EXPECT_EQ(broker->counts().ignored, 3u);
    EXPECT_TRUE(sent.empty());
}

/// Three workers whose connections move between them all the time, and a fourth that stays and sees everything: what a
/// connection has got in the end, wherever it was meanwhile, must be what the fourth has, frame for frame.
class RandomMarks : public BrokerMarks {
protected:
    static constexpr LinkId kWitness = 4;
    static constexpr LinkId kMovers[] = {1, 2, 3};
    static inline const std::vector<std::string> kChannels{"chat", "kept", "room"};

    using Log = std::vector<std::string>;
    struct Client {
        std::set<std::string> channels;
        std::map<std::string, Log> log;
    };
    /// Connections under way, as the worker that takes them sees it.
    struct Arrival {
        bool marked = false;
        bool here = false;
        std::vector<std::size_t> clients;
        std::map<std::string, Log> behind_the_mark;
    };
    struct Worker {
        std::set<std::string> wanted, subscribed;
        std::set<std::size_t> clients;
        std::map<std::pair<LinkId, std::uint64_t>, Arrival> arrivals;
    };
    struct Move {
        LinkId from, to;
        std::vector<std::size_t> clients;
        bool asked = false;
    };

    void SetUp() override {
        broker->on_link_up(kPeerOut, LinkRole::peer_out, "b", now);
        for (LinkId link = 1; link <= kWitness; ++link) worker(link);
        clients.resize(12);
        for (std::size_t i = 0; i < clients.size(); ++i) {
            for (const std::string& channel : kChannels) {
                if (random() % 2 == 0) clients[i].channels.insert(channel);
            }
            workers[1].clients.insert(i);
        }
        for (const std::string& channel : kChannels) {
            want(1, channel);
            want(kWitness, channel);
            v1::Frame answer;
            answer.mutable_subscribed()->set_channel(channel);
            Position position;
            position.set(kPeerStream, 0);
            answer.mutable_subscribed()->set_position(position.text());
            frame(kPeerOut, answer);
        }
        for (int i = 0; i < 12; ++i) tick();  // the peer doesn't answer for the history that it has
        drain();
        for (const LinkId link : {LinkId{1}, kWitness}) ASSERT_EQ(workers[link].subscribed.size(), kChannels.size());
    }
    void want(LinkId link, const std::string& channel) {
        if (workers[link].wanted.insert(channel).second) frame(link, subscribe(channel));
    }

    void receive(LinkId link) {
        if (sent[link].empty()) return;
        const v1::Frame next = sent[link].front();
        sent[link].pop_front();
        Worker& at = workers[link];
        switch (next.body_case()) {
            case v1::Frame::kSubscribed: at.subscribed.insert(next.subscribed().channel()); return;
            case v1::Frame::kPublication: return deliver(at, link, next.publication().channel(), next);
            case v1::Frame::kSignal: return deliver(at, link, next.signal().channel(), next);
            case v1::Frame::kGap: return deliver(at, link, next.gap().channel(), next);
            case v1::Frame::kMemberEvent: return deliver(at, link, next.member_event().channel(), next);
            case v1::Frame::kMarked: return on_marked(at, link, next.marked());
            default: return;
        }
    }
    void deliver(Worker& at, LinkId link, const std::string& channel, const v1::Frame& frame) {
        const std::string line = text_of(frame);
        if (link == kWitness) return witnessed[channel].push_back(line);
        for (const std::size_t client : at.clients) {
            if (clients[client].channels.contains(channel)) clients[client].log[channel].push_back(line);
        }
        for (auto& [key, arrival] : at.arrivals) {
            if (arrival.marked) arrival.behind_the_mark[channel].push_back(line);
        }
    }
    void on_marked(Worker& at, LinkId link, const v1::Marked& marked) {
        ASSERT_FALSE(marked.failed());
        if (marked.to() == kIncarnation + link) {
            at.arrivals[{marked.from() - kIncarnation, marked.number()}].marked = true;
            return admit(at, {marked.from() - kIncarnation, marked.number()});
        }
        const Move& move = moves.at(marked.number());
        for (const std::size_t client : move.clients) at.clients.erase(client);
        handed.push_back(marked.number());
    }
    /// The record and the sockets of a move arrive.
    void hand_over() {
        if (handed.empty()) return;
        const std::uint64_t number = handed.front();
        handed.pop_front();
        const Move move = moves.at(number);
        Arrival& arrival = workers[move.to].arrivals[{move.from, number}];
        arrival.here = true;
        arrival.clients = move.clients;
        moves.erase(number);
        for (const std::size_t client : move.clients) join(move.to, client);
        admit(workers[move.to], {move.from, number});
    }
    void admit(Worker& at, std::pair<LinkId, std::uint64_t> key) {
        Arrival& arrival = at.arrivals.at(key);
        if (!arrival.marked || !arrival.here) return;
        for (const std::size_t client : arrival.clients) {
            for (const std::string& channel : clients[client].channels) {
                auto& log = clients[client].log[channel];
                const auto& behind = arrival.behind_the_mark[channel];
                log.insert(log.end(), behind.begin(), behind.end());
            }
            at.clients.insert(client);
            ++moved;
        }
        at.arrivals.erase(key);
    }
    void join(LinkId link, std::size_t client) {
        v1::Frame out;
        out.mutable_member_join()->set_channel("room");
        out.mutable_member_join()->set_client_id(client + 1);
        frame(link, out);
    }

    void begin_a_move() {
        const LinkId from = kMovers[random() % 3], to = kMovers[random() % 3];
        const bool under_way = std::ranges::any_of(moves, [&](const auto& one) { return one.second.from == from; });
        if (from == to || under_way || workers[from].clients.empty()) return;
        Move& move = moves[++last_move];
        move.from = from;
        move.to = to;
        for (const std::size_t client : workers[from].clients) {
            if (random() % 2 == 0) move.clients.push_back(client);
        }
        for (const std::string& channel : kChannels) want(to, channel);
    }
    void ask_for_marks() {
        for (auto& [number, move] : moves) {
            if (move.asked || workers[move.to].subscribed.size() < kChannels.size()) continue;
            move.asked = true;
            frame(move.from, mark(kIncarnation + move.to, number));
        }
    }
    /// A worker that nobody is at, and nobody is on the way to, wants nothing.
    void lose_interest() {
        const LinkId link = kMovers[random() % 3];
        Worker& at = workers[link];
        const bool awaited = std::ranges::any_of(moves, [&](const auto& one) { return one.second.to == link; });
        if (!at.clients.empty() || !at.arrivals.empty() || awaited) return;
        for (const std::string& channel : std::exchange(at.wanted, {})) {
            v1::Frame out;
            out.mutable_unsubscribe()->set_channel(channel);
            frame(link, out);
        }
        while (!sent[link].empty()) receive(link);
        at.subscribed.clear();
    }

    void something_happens() {
        const LinkId link = 1 + random() % kWitness;
        const std::string& channel = kChannels[random() % kChannels.size()];
        switch (random() % 16) {
            case 0:
            case 1:
            case 2: return frame(link, publish(channel, ++last_publication));
            case 3: {  // by a peer; what it skips is told as a gap
                v1::Frame out;
                v1::Publication& publication = *out.mutable_publication();
                auto& number = from_peer[channel];
                number += channel != "kept" && random() % 4 == 0 ? 3 : 1;
                publication.set_channel(channel);
                publication.set_data(std::to_string(++last_publication));
                publication.set_stream(kPeerStream);
                publication.set_number(number);
                if (channel == "kept") publication.mutable_retention()->set_count(50);
                if (channel == "kept") publication.mutable_retention()->set_age_ms(3'600'000);
                return frame(kPeerOut, out);
            }
            case 4: {
                v1::Frame out;
                out.mutable_send_signal()->set_channel(channel);
                out.mutable_send_signal()->set_name("s");
                out.mutable_send_signal()->set_data(std::to_string(++last_publication));
                return frame(link, out);
            }
            case 5: {
                v1::Frame out;
                out.mutable_member_join()->set_channel("room");
                out.mutable_member_join()->set_client_id(100 + random() % 5);
                return frame(kWitness, out);
            }
            case 6: {
                v1::Frame out;
                out.mutable_member_leave()->set_channel("room");
                out.mutable_member_leave()->set_client_id(100 + random() % 5);
                return frame(kWitness, out);
            }
            case 7: return begin_a_move();
            case 8: return ask_for_marks();
            case 9: return hand_over();
            case 10: return lose_interest();
            case 11: return tick();
            default:
                for (std::uint64_t some = random() % 24; some > 0; --some) receive(link);
        }
    }
    void drain() {
        bool rest = true;
        while (rest) {
            rest = false;
            for (LinkId link = 1; link <= kWitness; ++link) {
                for (; !sent[link].empty(); rest = true) receive(link);
            }
            for (; !handed.empty(); rest = true) hand_over();
        }
    }
    void run() {
        for (int i = 0; i < 20'000; ++i) something_happens();
        drain();
        ask_for_marks();
        drain();
    }

    std::map<LinkId, Worker> workers;
    std::vector<Client> clients;
    std::map<std::string, Log> witnessed;
    std::map<std::uint64_t, Move> moves;
    std::deque<std::uint64_t> handed;  // moves whose record is on its way
    std::map<std::string, std::uint64_t> from_peer;
    std::uint64_t last_move = 0, last_publication = 0;
    std::size_t moved = 0;
};

TEST_F(RandomMarks, ConnectionsThatMoveGetEverythingOnceAndInOrder) {
    for (const std::size_t client : workers[1].clients) join(1, client);
    run();
    EXPECT_GT(moved, 500u);
    for (const std::string& channel : kChannels) {
        ASSERT_GT(witnessed[channel].size(), 100u);
        std::set<int> kinds;
        for (const std::string& line : witnessed[channel]) kinds.insert(line.front());
        EXPECT_TRUE(kinds.contains(v1::Frame::kSignal));
        EXPECT_EQ(kinds.contains(v1::Frame::kGap), channel != "kept") << channel;
        EXPECT_EQ(kinds.contains(v1::Frame::kMemberEvent), channel == "room") << channel;
    }
    for (Client& client : clients) {
        for (const std::string& channel : client.channels) EXPECT_TRUE(client.log[channel] == witnessed[channel]);
    }
}

TEST_F(RandomMarks, WouldShowAMarkThatStandsAtTwoPoints) {
    late = true;
    run();
    std::size_t wrong = 0;
    for (Client& client : clients) {
        for (const std::string& channel : client.channels) wrong += client.log[channel] != witnessed[channel] ? 1 : 0;
    }
    EXPECT_GT(wrong, 10u);
}

}  // namespace
}  // namespace weft

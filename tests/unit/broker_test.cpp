// Broker: who is sent what, one node at a time; tests/simulation lets whole meshes run.
#include "broker/broker.hpp"

#include <set>
#include <string>
#include <vector>

#include "broker_fixture.hpp"
#include "weft/position.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr LinkId kWorker = 1, kOtherWorker = 2, kPeerIn = 11, kPeerB = 21, kPeerC = 22;

BrokerSettings settings_of(std::string node) {
    BrokerSettings settings;
    settings.node = std::move(node);
    return settings;
}

v1::Frame subscribe(const std::string& channel, const std::string& position = {}) {
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    frame.mutable_subscribe()->set_position(position);
    return frame;
}

v1::Frame unsubscribe(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_unsubscribe()->set_channel(channel);
    return frame;
}

v1::Frame publish(const std::string& channel, const std::string& data, std::uint64_t request = 0) {
    v1::Frame frame;
    frame.mutable_publish()->set_channel(channel);
    frame.mutable_publish()->set_data(data);
    frame.mutable_publish()->set_request(request);
    return frame;
}

v1::Frame send_signal(const std::string& channel, const std::string& name, std::uint64_t request = 0) {
    v1::Frame frame;
    frame.mutable_send_signal()->set_channel(channel);
    frame.mutable_send_signal()->set_name(name);
    frame.mutable_send_signal()->set_data("[1]");
    frame.mutable_send_signal()->set_request(request);
    return frame;
}

v1::Frame rpc(const std::string& method, const std::string& params, std::uint64_t request = 1) {
    v1::Frame frame;
    frame.mutable_rpc()->set_method(method);
    frame.mutable_rpc()->set_params(params);
    frame.mutable_rpc()->set_request(request);
    return frame;
}

std::string position(StreamId stream, std::uint64_t number) {
    Position position;
    position.set(stream, number);
    return position.text();
}

v1::Frame subscribed(const std::string& channel, StreamId stream, std::uint64_t number) {
    v1::Frame frame;
    frame.mutable_subscribed()->set_channel(channel);
    frame.mutable_subscribed()->set_position(position(stream, number));
    return frame;
}

v1::Frame publication(const std::string& channel, StreamId stream, std::uint64_t number) {
    v1::Frame frame;
    v1::Publication& publication = *frame.mutable_publication();
    publication.set_channel(channel);
    publication.set_data("\"" + std::to_string(number) + "\"");
    publication.set_message_id("m" + std::to_string(number));
    publication.set_timestamp_ms(5);
    publication.set_position("somebody.else");
    publication.set_stream(stream);
    publication.set_number(number);
    return frame;
}

v1::Frame failed(const std::string& channel) {
    v1::Frame frame;
    frame.mutable_failed()->set_code(4017);
    frame.mutable_failed()->set_channel(channel);
    return frame;
}

class BrokerTest : public BrokerFixture {
protected:
    void send(LinkId link, std::string_view frame) override {
        ++sends;
        const std::size_t before = sent.size();
        BrokerFixture::send(link, frame);
        // Presence's tests look at those.
        if (sent.size() > before && sent.back().second.has_sync_members()) sent.pop_back();
    }

    [[nodiscard]] bool busy(LinkId link) const override { return busy_links.contains(link); }

    void restart(BrokerSettings settings) {
        sent.clear();
        broker = std::make_unique<Broker>(
            std::move(settings), [this] { return random(); }, *this);
    }
    void SetUp() override { restart(settings_of("a")); }

    void up(LinkId link, LinkRole role, std::string_view name = {}) { broker->on_link_up(link, role, name, now); }
    void down(LinkId link) { broker->on_link_down(link, now); }
    void frame(LinkId link, const v1::Frame& frame) { broker->on_frame(link, frame, now, wall); }

    // The channel's position as a worker learns it.
    Position subscribe_worker(LinkId worker, const std::string& channel, const std::string& from = {}) {
        frame(worker, subscribe(channel, from));
        return Position::parse(take_one(worker).subscribed().position()).value();
    }
    // A worker, and a peer B whose stream 77 stands at 5; all want "c".
    void meet_peer() {
        up(kWorker, LinkRole::worker);
        up(kPeerB, LinkRole::peer_out, "b");
        frame(kWorker, subscribe("c"));
        frame(kPeerB, subscribed("c", 77, 5));
        sent.clear();
    }
    static std::uint64_t number_of(const std::string& text, StreamId stream) {
        const auto position = Position::parse(text);
        EXPECT_TRUE(position.has_value()) << text;
        const std::uint64_t* const number = position ? position->find(stream) : nullptr;
        EXPECT_NE(number, nullptr) << text;
        return number == nullptr ? 0 : *number;
    }

    WallTime wall{1'700'000'000'123ms};
    std::set<LinkId> busy_links;
    std::size_t sends = 0;
};

// --- one node
// ----------------------------------------------------------------------------------------------------------

TEST_F(BrokerTest, AnswersASubscriberAtOnceWhenThereAreNoPeers) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, subscribe("c"));
    const v1::Frame answer = take_one(kWorker);
    EXPECT_EQ(answer.subscribed().channel(), "c");
    EXPECT_FALSE(answer.subscribed().gap());
    const auto at = Position::parse(answer.subscribed().position()).value();
    ASSERT_EQ(at.entries().size(), 1u);
    EXPECT_NE(at.entries()[0].stream, 0u);
    EXPECT_LT(at.entries()[0].stream, std::uint64_t{1} << 40);  // short texts
    EXPECT_EQ(at.entries()[0].number, 0u);
}

TEST_F(BrokerTest, SendsAPublicationToEveryInterestedLinkAndNobodyElse) {
    up(kWorker, LinkRole::worker);
    up(kOtherWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    const StreamId stream = subscribe_worker(kWorker, "c").entries()[0].stream;
    subscribe_worker(kOtherWorker, "other");
    frame(kPeerIn, subscribe("c"));
    take(kPeerIn);

    v1::Frame command = publish("c", R"({"a":1.0})", 9);
    command.mutable_publish()->mutable_publisher()->set_user("ann");
    command.mutable_publish()->mutable_publisher()->set_client_id(4);
    frame(kOtherWorker, command);

    const v1::Frame to_worker = take_one(kWorker);
    EXPECT_EQ(to_worker.publication().channel(), "c");
    EXPECT_EQ(to_worker.publication().data(), R"({"a":1.0})");
    EXPECT_EQ(to_worker.publication().timestamp_ms(), 1'700'000'000'123);
    EXPECT_EQ(to_worker.publication().position(), position(stream, 1));
    EXPECT_EQ(to_worker.publication().publisher().user(), "ann");
    EXPECT_EQ(to_worker.publication().stream(), 0u);

    const v1::Frame to_peer = take_one(kPeerIn);
    EXPECT_EQ(to_peer.publication().stream(), stream);
    EXPECT_EQ(to_peer.publication().number(), 1u);
    EXPECT_EQ(to_peer.publication().data(), R"({"a":1.0})");
    EXPECT_EQ(to_peer.publication().publisher().client_id(), 4u);

    const v1::Frame answer = take_one(kOtherWorker);
    EXPECT_EQ(answer.published().request(), 9u);
    EXPECT_EQ(answer.published().message_id(), to_worker.publication().message_id());
    EXPECT_EQ(answer.published().position(), position(stream, 1));
    EXPECT_EQ(broker->counts().published, 1u);
    EXPECT_EQ(broker->counts().delivered, 2u);
}

TEST_F(BrokerTest, GivesPublishersTheirOwnPublicationsBack) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    frame(kWorker, publish("c", "1"));
    EXPECT_TRUE(take_one(kWorker).has_publication());
}

TEST_F(BrokerTest, NumbersPublicationsAndNamesThemAfterStreamAndNumber) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, publish("c", "1", 1));
    const v1::Published first = take_one(kWorker).published();
    const std::string stream = first.position().substr(0, first.position().find('.'));
    EXPECT_EQ(first.position(), stream + ".1");
    EXPECT_EQ(first.message_id(), stream + "-1");
    frame(kWorker, publish("c", "2", 2));
    EXPECT_EQ(take_one(kWorker).published().message_id(), stream + "-2");
    frame(kWorker, publish("d", "1", 3));
    EXPECT_NE(take_one(kWorker).published().position(), stream + ".1");
}

TEST_F(BrokerTest, KeepsTheClientsMessageId) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    v1::Frame command = publish("c", "1", 1);
    command.mutable_publish()->set_message_id("mine");
    frame(kWorker, command);
    const auto frames = take(kWorker);
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].publication().message_id(), "mine");
    EXPECT_EQ(frames[1].published().message_id(), "mine");
}

TEST_F(BrokerTest, DoesNotCarryAPublisherOverToTheNextPublication) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    v1::Frame command = publish("c", "1");
    command.mutable_publish()->mutable_publisher()->set_user("ann");
    frame(kWorker, command);
    EXPECT_TRUE(take_one(kWorker).publication().has_publisher());
    frame(kWorker, publish("c", "2"));
    EXPECT_FALSE(take_one(kWorker).publication().has_publisher());
}

TEST_F(BrokerTest, AnswersNoPublishWithoutRequest) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, publish("c", "1"));
    EXPECT_TRUE(take(kWorker).empty());
}

TEST_F(BrokerTest, StopsSendingAfterUnsubscribe) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    frame(kWorker, unsubscribe("c"));
    frame(kWorker, publish("c", "1"));
    EXPECT_TRUE(take(kWorker).empty());
}

TEST_F(BrokerTest, StopsSendingWhenTheLinkIsDown) {
    for (const LinkRole role : {LinkRole::worker, LinkRole::peer_in}) {
        const LinkId link = role == LinkRole::worker ? 101 : 102;
        up(kWorker, LinkRole::worker);
        up(link, role, "b");
        frame(link, subscribe("c"));
        take(link);
        down(link);
        frame(kWorker, publish("c", "1"));
        EXPECT_TRUE(take(link).empty());
    }
}

TEST_F(BrokerTest, SendsOnceToALinkThatSubscribedTwice) {
    up(kWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    for (const LinkId link : {kWorker, kPeerIn}) {
        frame(link, subscribe("c"));
        frame(link, subscribe("c"));
        EXPECT_EQ(take(link).size(), 2u);  // each is answered
    }
    frame(kWorker, publish("c", "1"));
    EXPECT_EQ(take(kWorker).size(), 1u);
    EXPECT_EQ(take(kPeerIn).size(), 1u);
}

struct Resume {
    const char* name;
    std::uint64_t number;  // of the own stream, which stands at 3
    const char* suffix;    // behind it
    bool gap;
};

TEST_F(BrokerTest, SaysWhetherAPositionCoversWhatWasPublished) {
    up(kWorker, LinkRole::worker);
    const StreamId stream = subscribe_worker(kWorker, "c").entries()[0].stream;
    for (int i = 0; i < 3; ++i) frame(kWorker, publish("c", "1"));
    take(kWorker);
    const Resume cases[] = {{"all", 3, "", false},
                            {"two of three", 2, "", true},
                            {"from nowhere", 3, "_zzzzzzzzzzz.1", true},
                            {"unreadable", 3, "!", true}};
    for (const Resume& one : cases) {
        frame(kWorker, subscribe("c", position(stream, one.number) + one.suffix));
        EXPECT_EQ(take_one(kWorker).subscribed().gap(), one.gap) << one.name;
    }
    frame(kWorker, subscribe("c"));
    EXPECT_FALSE(take_one(kWorker).subscribed().gap()) << "no position";
}

TEST_F(BrokerTest, AnswersAPeerWithItsOwnStreamOnly) {
    meet_peer();
    up(kPeerIn, LinkRole::peer_in, "b");
    frame(kPeerIn, subscribe("c"));
    const auto at = Position::parse(take_one(kPeerIn).subscribed().position()).value();
    ASSERT_EQ(at.entries().size(), 1u);
    EXPECT_NE(at.entries()[0].stream, 77u);
    // Also of a channel that nobody knew before.
    frame(kPeerIn, subscribe("new"));
    EXPECT_EQ(Position::parse(take_one(kPeerIn).subscribed().position())->entries().size(), 1u);
}

// --- bounds
// ------------------------------------------------------------------------------------------------------------

TEST_F(BrokerTest, RefusesChannelsBeyondTheMost) {
    BrokerSettings settings = settings_of("a");
    settings.max_channels = 2;
    restart(settings);
    up(kWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    subscribe_worker(kWorker, "c1");
    frame(kPeerIn, subscribe("c2"));
    take(kPeerIn);

    frame(kWorker, subscribe("c3"));
    v1::Failed failed = take_one(kWorker).failed();
    EXPECT_EQ(failed.code(), 4017u);
    EXPECT_EQ(failed.channel(), "c3");
    EXPECT_EQ(failed.message(), "node a has its maximum of 2 channels");
    EXPECT_GT(failed.retry_after_ms(), 0u);
    frame(kPeerIn, subscribe("c3"));
    EXPECT_EQ(take_one(kPeerIn).failed().channel(), "c3");
    frame(kWorker, publish("c3", "1", 8));
    failed = take_one(kWorker).failed();
    EXPECT_EQ(failed.code(), 4017u);
    EXPECT_EQ(failed.request(), 8u);
    EXPECT_EQ(broker->counts().channels, 2u);
    frame(kWorker, publish("c1", "1"));
    EXPECT_TRUE(take_one(kWorker).has_publication());
}

TEST_F(BrokerTest, EvictsTheChannelThatLingersLongestForANewOne) {
    BrokerSettings settings = settings_of("a");
    settings.max_channels = 2;
    restart(settings);
    up(kWorker, LinkRole::worker);
    const Position first = subscribe_worker(kWorker, "c1");
    const Position second = subscribe_worker(kWorker, "c2");
    frame(kWorker, unsubscribe("c2"));
    frame(kWorker, unsubscribe("c1"));
    subscribe_worker(kWorker, "c3");
    EXPECT_EQ(broker->counts().channels, 2u);
    EXPECT_EQ(subscribe_worker(kWorker, "c1"), first);
    frame(kWorker, unsubscribe("c3"));
    EXPECT_FALSE(subscribe_worker(kWorker, "c2") == second);
}

TEST_F(BrokerTest, RemembersAChannelForTheLingerTime) {
    up(kWorker, LinkRole::worker);
    const Position first = subscribe_worker(kWorker, "c");
    frame(kWorker, unsubscribe("c"));
    now += 59'999ms;
    broker->on_tick(now);
    EXPECT_EQ(subscribe_worker(kWorker, "c"), first);
    frame(kWorker, unsubscribe("c"));
    now += 60'000ms;
    broker->on_tick(now);
    EXPECT_EQ(broker->counts().channels, 0u);
    frame(kWorker, subscribe("c", first.text()));
    const v1::Subscribed answer = take_one(kWorker).subscribed();
    EXPECT_NE(answer.position(), first.text());
    EXPECT_TRUE(answer.gap());
}

TEST_F(BrokerTest, LingersFromTheLastPublication) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, publish("c", "1"));
    now += 40s;
    frame(kWorker, publish("c", "2"));
    now += 40s;
    broker->on_tick(now);
    EXPECT_EQ(broker->counts().channels, 1u);
    now += 20s;
    broker->on_tick(now);
    EXPECT_EQ(broker->counts().channels, 0u);
}

TEST_F(BrokerTest, KeepsAChannelThatAPeerWants) {
    up(kWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    frame(kPeerIn, subscribe("c"));
    take(kPeerIn);
    now += 10min;
    broker->on_tick(now);
    frame(kWorker, publish("c", "1"));
    EXPECT_EQ(take_one(kPeerIn).publication().number(), 1u);
}

TEST_F(BrokerTest, SignalsGiveWayWherePublicationsWait) {
    up(kWorker, LinkRole::worker);
    up(kOtherWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    for (const LinkId link : {kWorker, kOtherWorker, kPeerIn}) frame(link, subscribe("c"));
    sent.clear();
    busy_links = {kOtherWorker, kPeerIn};
    frame(kWorker, send_signal("c", "typing", 7));
    EXPECT_TRUE(take(kOtherWorker).empty());
    EXPECT_TRUE(take(kPeerIn).empty());
    EXPECT_EQ(take(kWorker).size(), 2u) << "the signal, and its answer";
    EXPECT_EQ(broker->counts().signals_dropped, 2u);
    frame(kWorker, publish("c", "1"));
    EXPECT_EQ(take(kOtherWorker).size(), 1u) << "publications go on";
    busy_links.clear();
    frame(kWorker, send_signal("c", "typing"));
    EXPECT_EQ(take(kOtherWorker).size(), 1u);
}

struct Bad {
    const char* name;
    v1::Frame frame;
    std::uint32_t code;  // of Failed; 0: no answer
};

TEST_F(BrokerTest, RefusesFramesThatMakeNoSense) {
    v1::Frame long_id = publish("c", "1", 1);
    long_id.mutable_publish()->set_message_id(std::string(65, 'x'));
    const Bad cases[] = {
        {"subscribe without channel", subscribe(""), 4006},
        {"subscribe to a bad name", subscribe("a b"), 4006},
        {"subscribe to a long name", subscribe(std::string(256, 'x')), 4006},
        {"publish without channel", publish("", "1", 1), 4006},
        {"publish without request to a bad name", publish("a b", "1"), 4006},
        {"publish without data", publish("c", "", 1), 4006},
        {"publish with a long id", long_id, 4006},
        {"signal without name", send_signal("c", "", 1), 4006},
        {"signal with a long name", send_signal("c", std::string(65, 'x'), 1), 4006},
        {"signal to a bad name", send_signal("a b", "typing", 1), 4006},
        {"signal without request to a bad name", send_signal("a b", "typing"), 0},
        {"unsubscribe from a bad name", unsubscribe("a b"), 0},
        {"unsubscribe from what is unknown", unsubscribe("c"), 0},
        {"a frame without body", {}, 0},
    };
    up(kWorker, LinkRole::worker);
    for (const Bad& one : cases) {
        frame(kWorker, one.frame);
        const auto answers = take(kWorker);
        EXPECT_EQ(answers.size(), one.code == 0 ? 0u : 1u) << one.name;
        if (!answers.empty()) {
            EXPECT_EQ(answers[0].failed().code(), one.code) << one.name;
        }
    }
    EXPECT_EQ(broker->counts().channels, 0u);
}

TEST_F(BrokerTest, IgnoresAndCountsWhatARoleHasNoBusinessToSay) {
    meet_peer();
    up(kPeerIn, LinkRole::peer_in, "b");
    const std::pair<LinkId, v1::Frame> cases[] = {
        {kPeerIn, publish("c", "1", 1)},   {kPeerIn, send_signal("c", "typing", 1)},
        {kPeerIn, rpc("weft.echo", "1")},  {kPeerIn, publication("c", 77, 6)},
        {kPeerIn, subscribed("c", 77, 9)}, {kPeerB, publish("c", "1", 1)},
        {kPeerB, subscribe("c")},          {kPeerB, unsubscribe("c")},
        {kPeerB, rpc("weft.echo", "1")},   {kWorker, publication("c", 77, 6)},
        {kWorker, subscribed("c", 77, 9)}, {999, publish("c", "1", 1)},
        {kPeerB, publication("c", 0, 6)},  {kPeerB, publication("c", 77, 0)},
        {kPeerB, publication("c", 77, 5)},
    };
    std::uint64_t ignored = broker->counts().ignored;
    for (const auto& [link, one] : cases) {
        frame(link, one);
        EXPECT_TRUE(sent.empty()) << link << " " << one.body_case();
        EXPECT_EQ(broker->counts().ignored, ++ignored) << link << " " << one.body_case();
    }
}

TEST_F(BrokerTest, SurvivesLinksThatComeTwiceOrGoTwice) {
    down(kWorker);
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    up(kWorker, LinkRole::worker);
    frame(kWorker, publish("c", "1", 1));
    EXPECT_TRUE(take_one(kWorker).has_published());  // the interest was the earlier link's
    down(kWorker);
    down(kWorker);
    EXPECT_EQ(broker->counts().workers, 0u);
}

TEST_F(BrokerTest, CountsLinks) {
    up(1, LinkRole::worker);
    up(2, LinkRole::worker);
    up(3, LinkRole::peer_in, "b");
    up(4, LinkRole::peer_out, "b");
    const Broker::Counts counts = broker->counts();
    EXPECT_EQ(counts.workers, 2u);
    EXPECT_EQ(counts.peers_in, 1u);
    EXPECT_EQ(counts.peers_out, 1u);
}

TEST_F(BrokerTest, ServesNoMorePeersThanAPositionCanName) {
    up(kWorker, LinkRole::worker);
    for (LinkId link = 100; link < 200; ++link) up(link, LinkRole::peer_out, "node" + std::to_string(link));
    EXPECT_EQ(broker->counts().peers_out, Position::kMaxStreams - 1);
    frame(kWorker, subscribe("c"));
    for (LinkId link = 100; link < 200; ++link) frame(link, subscribed("c", link, 1));
    const v1::Frame answer = take_one(kWorker);
    EXPECT_EQ(Position::parse(answer.subscribed().position())->entries().size(), Position::kMaxStreams);
    // A node that is gone makes room for another, and its stream goes.
    down(100);
    up(300, LinkRole::peer_out, "node300");
    frame(300, subscribed("c", 300, 1));
    const auto at = Position::parse(take_one(kWorker).gap().position()).value();
    EXPECT_EQ(at.find(100), nullptr);
    EXPECT_NE(at.find(300), nullptr);
}

// --- the mesh
// ----------------------------------------------------------------------------------------------------------

TEST_F(BrokerTest, AnswersTheFirstSubscriberOnceEveryPeerHasAnswered) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    up(kPeerC, LinkRole::peer_out, "c");
    frame(kWorker, subscribe("c"));
    EXPECT_EQ(take_one(kPeerB).subscribe().channel(), "c");
    EXPECT_EQ(take_one(kPeerC).subscribe().channel(), "c");
    frame(kPeerB, subscribed("c", 77, 5));
    EXPECT_TRUE(take(kWorker).empty());
    frame(kPeerC, subscribed("c", 88, 0));
    const v1::Subscribed answer = take_one(kWorker).subscribed();
    EXPECT_EQ(Position::parse(answer.position())->entries().size(), 3u);
    EXPECT_EQ(number_of(answer.position(), 77), 5u);
    EXPECT_EQ(number_of(answer.position(), 88), 0u);
    EXPECT_FALSE(answer.gap());
}

TEST_F(BrokerTest, AnswersLaterSubscribersAtOnceAndAsksThePeersOnce) {
    meet_peer();
    up(kOtherWorker, LinkRole::worker);
    frame(kOtherWorker, subscribe("c"));
    EXPECT_EQ(number_of(take_one(kOtherWorker).subscribed().position(), 77), 5u);
    EXPECT_TRUE(take(kPeerB).empty());
}

TEST_F(BrokerTest, AnswersEverybodyWhoWaitedInTheOrderInWhichTheyCame) {
    up(kWorker, LinkRole::worker);
    up(kOtherWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kOtherWorker, subscribe("c"));
    frame(kWorker, subscribe("c"));
    EXPECT_EQ(take(kPeerB).size(), 1u);
    frame(kPeerB, subscribed("c", 77, 5));
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0].first, kOtherWorker);
    EXPECT_EQ(sent[1].first, kWorker);
}

TEST_F(BrokerTest, DoesNotWaitForAPeerWhoseLinkGoesDown) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kWorker, subscribe("c"));
    EXPECT_TRUE(take(kWorker).empty());
    down(kPeerB);
    EXPECT_TRUE(take_one(kWorker).has_subscribed());
}

TEST_F(BrokerTest, DoesNotWaitLongerThanMeshWait) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kWorker, subscribe("c"));
    now += 999ms;
    broker->on_tick(now);
    EXPECT_TRUE(take(kWorker).empty());
    now += 1ms;
    broker->on_tick(now);
    EXPECT_TRUE(take_one(kWorker).has_subscribed());
}

TEST_F(BrokerTest, DoesNotWaitForAPeerThatRefuses) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kWorker, subscribe("c"));
    take(kPeerB);
    frame(kPeerB, failed("c"));
    EXPECT_TRUE(take_one(kWorker).has_subscribed());
    // It is asked again; what it may have forgotten in the meantime is a gap.
    now += 30s;
    broker->on_tick(now);
    EXPECT_EQ(take_one(kPeerB).subscribe().channel(), "c");
    frame(kPeerB, subscribed("c", 77, 0));
    EXPECT_TRUE(take_one(kWorker).has_gap());
}

TEST_F(BrokerTest, WithdrawsItsInterestWithTheLastWorker) {
    meet_peer();
    up(kOtherWorker, LinkRole::worker);
    frame(kOtherWorker, subscribe("c"));
    frame(kWorker, unsubscribe("c"));
    EXPECT_TRUE(take(kPeerB).empty());
    down(kOtherWorker);
    EXPECT_EQ(take_one(kPeerB).unsubscribe().channel(), "c");
}

TEST_F(BrokerTest, WithdrawsItsInterestWhenTheLastWorkerGoesBeforeItWasAnswered) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kWorker, subscribe("c"));
    take(kPeerB);
    down(kWorker);
    EXPECT_EQ(take_one(kPeerB).unsubscribe().channel(), "c");
    frame(kPeerB, subscribed("c", 77, 5));
    now += 10s;
    broker->on_tick(now);
    EXPECT_TRUE(sent.empty());
}

TEST_F(BrokerTest, ForwardsAPeersPublicationToItsWorkersAndToNoPeer) {
    meet_peer();
    up(kPeerIn, LinkRole::peer_in, "c");
    up(kPeerC, LinkRole::peer_out, "c");
    frame(kPeerIn, subscribe("c"));
    sent.clear();
    frame(kPeerB, publication("c", 77, 6));
    const v1::Publication to_worker = take_one(kWorker).publication();
    EXPECT_EQ(to_worker.data(), "\"6\"");
    EXPECT_EQ(to_worker.message_id(), "m6");
    EXPECT_EQ(to_worker.timestamp_ms(), 5);
    EXPECT_EQ(to_worker.stream(), 0u);
    EXPECT_EQ(to_worker.number(), 0u);
    EXPECT_EQ(number_of(to_worker.position(), 77), 6u);  // this node's position, not the peer's
    EXPECT_TRUE(sent.empty());
}

TEST_F(BrokerTest, TellsAGapBeforeAPublicationWhoseNumberIsNotTheNext) {
    meet_peer();
    frame(kPeerB, publication("c", 77, 8));
    const auto frames = take(kWorker);
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].gap().channel(), "c");
    EXPECT_EQ(number_of(frames[0].gap().position(), 77), 7u);
    EXPECT_EQ(frames[1].publication().data(), "\"8\"");
    EXPECT_EQ(number_of(frames[1].publication().position(), 77), 8u);
    EXPECT_EQ(broker->counts().gaps, 1u);
    frame(kPeerB, publication("c", 77, 9));
    EXPECT_TRUE(take_one(kWorker).has_publication());
}

TEST_F(BrokerTest, TellsAGapBeforeAPublicationOfAnotherStream) {
    meet_peer();
    frame(kPeerB, publication("c", 78, 1));
    const auto frames = take(kWorker);
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_TRUE(frames[0].has_gap());
    const auto at = Position::parse(frames[1].publication().position()).value();
    EXPECT_EQ(at.find(77), nullptr);
    ASSERT_NE(at.find(78), nullptr);
    EXPECT_EQ(*at.find(78), 1u);
}

TEST_F(BrokerTest, DropsAPublicationThatItHasAlready) {
    meet_peer();
    frame(kPeerB, publication("c", 77, 6));
    frame(kPeerB, publication("c", 77, 6));
    frame(kPeerB, publication("c", 77, 2));
    EXPECT_EQ(take(kWorker).size(), 1u);
}

TEST_F(BrokerTest, IgnoresPublicationsOfChannelsThatNobodyWants) {
    meet_peer();
    frame(kWorker, unsubscribe("c"));
    sent.clear();
    frame(kPeerB, publication("c", 77, 6));
    frame(kPeerB, publication("unheard-of", 77, 6));
    EXPECT_TRUE(sent.empty());
    EXPECT_EQ(broker->counts().channels, 1u);
    // What was passed over is missing later.
    frame(kWorker, subscribe("c", position(77, 5)));
    frame(kPeerB, subscribed("c", 77, 6));
    EXPECT_TRUE(take_one(kWorker).subscribed().gap());
}

TEST_F(BrokerTest, IgnoresItsOwnStreamFromAPeer) {
    up(kWorker, LinkRole::worker);
    const StreamId own = subscribe_worker(kWorker, "c").entries()[0].stream;
    up(kPeerB, LinkRole::peer_out, "a");  // dialed ourselves
    frame(kPeerB, subscribed("c", own, 3));
    frame(kPeerB, publication("c", own, 4));
    EXPECT_TRUE(take(kWorker).empty());
}

TEST_F(BrokerTest, HearsAPeerThroughItsNewestLinkOnly) {
    meet_peer();
    up(kPeerC, LinkRole::peer_out, "b");
    EXPECT_EQ(take_one(kPeerC).subscribe().channel(), "c");
    frame(kPeerC, subscribed("c", 77, 5));
    frame(kPeerB, publication("c", 77, 6));
    EXPECT_TRUE(take(kWorker).empty());
    frame(kPeerC, publication("c", 77, 6));
    EXPECT_TRUE(take_one(kWorker).has_publication());
    down(kPeerB);  // the older link goes; the peer is still there
    frame(kPeerC, publication("c", 77, 7));
    EXPECT_TRUE(take_one(kWorker).has_publication());
}

struct Return {
    const char* name;
    StreamId stream;
    std::uint64_t number;  // of the peer, known before as 77.5
    bool gap;
};

TEST_F(BrokerTest, TellsAGapWhenAPeerReturnsWithSomethingElseThanWasKnown) {
    const Return cases[] = {
        {"nothing new", 77, 5, false},
        {"more", 77, 7, true},
        {"less", 77, 4, true},
        {"another stream", 78, 3, true},
        {"another stream with nothing in it", 78, 0, true},
    };
    for (const Return& one : cases) {
        restart(settings_of("a"));
        meet_peer();
        down(kPeerB);
        now += 5s;
        up(kPeerC, LinkRole::peer_out, "b");
        EXPECT_EQ(take_one(kPeerC).subscribe().channel(), "c") << one.name;
        frame(kPeerC, subscribed("c", one.stream, one.number));
        const auto frames = take(kWorker);
        EXPECT_EQ(frames.size(), one.gap ? 1u : 0u) << one.name;
        if (one.gap && !frames.empty()) {
            EXPECT_EQ(number_of(frames[0].gap().position(), one.stream), one.number);
        }
        frame(kPeerC, publication("c", one.stream, one.number + 1));
        EXPECT_TRUE(take_one(kWorker).has_publication()) << one.name;
    }
}

TEST_F(BrokerTest, TellsAGapWhenANewPeerHasPublishedAlready) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kPeerB, subscribed("c", 77, 5));
    EXPECT_EQ(number_of(take_one(kWorker).gap().position(), 77), 5u);
}

TEST_F(BrokerTest, TellsNoGapWhenANewPeerHasPublishedNothing) {
    up(kWorker, LinkRole::worker);
    subscribe_worker(kWorker, "c");
    up(kPeerB, LinkRole::peer_out, "b");
    frame(kPeerB, subscribed("c", 77, 0));
    EXPECT_TRUE(take(kWorker).empty());
    frame(kPeerB, publication("c", 77, 1));
    EXPECT_TRUE(take_one(kWorker).has_publication());
}

TEST_F(BrokerTest, TellsAGapWhenAKnownPeerWasAwayAtTheSubscriptionAndReturnsWithoutMemory) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    down(kPeerB);
    subscribe_worker(kWorker, "c");
    up(kPeerC, LinkRole::peer_out, "b");
    frame(kPeerC, subscribed("c", 77, 0));  // what it accepted before it forgot, nobody knows
    EXPECT_TRUE(take_one(kWorker).has_gap());
}

TEST_F(BrokerTest, TellsNoGapWhenAPeerAnswersLateWithNothing) {
    up(kWorker, LinkRole::worker);
    up(kPeerB, LinkRole::peer_out, "b");
    down(kPeerB);
    up(kPeerC, LinkRole::peer_out, "b");
    frame(kWorker, subscribe("c"));
    now += 1s;
    broker->on_tick(now);
    EXPECT_TRUE(take_one(kWorker).has_subscribed());
    frame(kPeerC, subscribed("c", 77, 0));
    EXPECT_TRUE(take(kWorker).empty());
}

TEST_F(BrokerTest, PassesOnThatAPeerLostPublications) {
    meet_peer();
    v1::Frame gap;
    gap.mutable_gap()->set_channel("c");
    frame(kPeerB, gap);
    EXPECT_EQ(number_of(take_one(kWorker).gap().position(), 77), 5u);
}

TEST_F(BrokerTest, AnnouncesManyChannelsToANewPeerWithoutFloodingIt) {
    constexpr int kChannels = 10'000;
    up(kWorker, LinkRole::worker);
    for (int i = 0; i < kChannels; ++i) frame(kWorker, subscribe("c" + std::to_string(i)));
    sent.clear();
    up(kPeerB, LinkRole::peer_out, "b");
    std::size_t announced = 0;
    while (!sent.empty()) {
        const auto batch = take(kPeerB);
        EXPECT_LE(batch.size(), 4096u);
        for (const v1::Frame& one : batch) {
            ++announced;
            frame(kPeerB, subscribed(one.subscribe().channel(), 77, 0));
        }
        ASSERT_LE(announced, static_cast<std::size_t>(kChannels));
    }
    EXPECT_EQ(announced, static_cast<std::size_t>(kChannels));
}

// --- signals and rpc
// ---------------------------------------------------------------------------------------------------

TEST_F(BrokerTest, SendsASignalToInterestedWorkersAndPeers) {
    up(kWorker, LinkRole::worker);
    up(kOtherWorker, LinkRole::worker);
    up(kPeerIn, LinkRole::peer_in, "b");
    subscribe_worker(kWorker, "c");
    frame(kPeerIn, subscribe("c"));
    take(kPeerIn);
    frame(kOtherWorker, send_signal("c", "typing"));
    for (const LinkId link : {kWorker, kPeerIn}) {
        const v1::Signal signal = take_one(link).signal();
        EXPECT_EQ(signal.channel(), "c");
        EXPECT_EQ(signal.name(), "typing");
        EXPECT_EQ(signal.data(), "[1]");
    }
    EXPECT_TRUE(sent.empty());
    // It has no number.
    frame(kWorker, publish("c", "1", 1));
    EXPECT_EQ(take(kPeerIn)[0].publication().number(), 1u);
}

TEST_F(BrokerTest, AnswersASignalThatHasARequest) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, send_signal("c", "typing", 3));
    const v1::Published answer = take_one(kWorker).published();
    EXPECT_EQ(answer.request(), 3u);
    EXPECT_TRUE(answer.message_id().empty());
    EXPECT_TRUE(answer.position().empty());
}

TEST_F(BrokerTest, PassesAPeersSignalToItsWorkersOnly) {
    meet_peer();
    up(kPeerIn, LinkRole::peer_in, "c");
    frame(kPeerIn, subscribe("c"));
    sent.clear();
    v1::Frame signal;
    signal.mutable_signal()->set_channel("c");
    signal.mutable_signal()->set_name("typing");
    frame(kPeerB, signal);
    EXPECT_EQ(take_one(kWorker).signal().name(), "typing");
    EXPECT_TRUE(sent.empty());
}

TEST_F(BrokerTest, EchoesParams) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, rpc("weft.echo", R"({"a":1.0})", 5));
    EXPECT_EQ(take(kWorker)[0].rpc_result().result(), R"({"a":1.0})");
    frame(kWorker, rpc("weft.echo", "", 6));
    const v1::RpcResult result = take_one(kWorker).rpc_result();
    EXPECT_EQ(result.request(), 6u);
    EXPECT_EQ(result.result(), "null");
}

TEST_F(BrokerTest, TellsTheTime) {
    restart(settings_of("n\"\n1"));
    up(kWorker, LinkRole::worker);
    frame(kWorker, rpc("weft.time", ""));
    EXPECT_EQ(take_one(kWorker).rpc_result().result(),
              R"({"time":"2023-11-14T22:13:20.123Z","unix_ms":1700000000123,"node":"n\"\u000a1"})");
}

TEST_F(BrokerTest, RefusesAMethodThatItDoesNotKnow) {
    up(kWorker, LinkRole::worker);
    frame(kWorker, rpc("orders.list", "", 5));
    const v1::Failed failed = take_one(kWorker).failed();
    EXPECT_EQ(failed.request(), 5u);
    EXPECT_EQ(failed.code(), 4018u);
    EXPECT_EQ(failed.message(), "no method \"orders.list\"");
    std::string umlauts;
    for (int i = 0; i < 100; ++i) umlauts += "ä";
    frame(kWorker, rpc("x" + umlauts, "", 5));
    EXPECT_LT(take_one(kWorker).failed().message().size(), 100u);  // and it is still a string that protobuf takes
}

}  // namespace
}  // namespace weft

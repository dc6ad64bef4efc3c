// Broker: publications that are repeated, and publications that a peer must have before they are acknowledged.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "broker/recent_ids.hpp"
#include "broker/repeats.hpp"
#include "broker_fixture.hpp"
#include "weft/codes.hpp"
#include "weft/position.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr StreamId kStream = 77;  // of the peer

class Acknowledgement : public BrokerFixture {
protected:
    void SetUp() override {
        BrokerSettings settings;
        settings.channel_linger = 3'600'000ms;
        start(settings);
        v1::ChannelRules rules;
        rules.set_generation(1);
        add_rule(rules, "kept:*", false);
        add_rule(rules, "sure:*", true);
        broker->on_rules(rules);
        up(kWorker, LinkRole::worker);
        up(kOtherWorker, LinkRole::worker);
    }
    void publish(LinkId link, const std::string& channel, const std::string& id, std::uint64_t request,
                 const std::string& user = "ann", std::uint64_t client = 5) {
        v1::Frame frame;
        v1::Publish& publish = *frame.mutable_publish();
        publish.set_channel(channel);
        publish.set_data("\"" + id + "\"");
        publish.set_message_id(id);
        publish.set_request(request);
        if (user != "-") {
            publish.mutable_publisher()->set_user(user);
            publish.mutable_publisher()->set_client_id(client);
        }
        this->frame(link, frame);
    }
    // As the peer sends it.
    v1::Frame from_peer(const std::string& channel, const std::string& id, std::uint64_t number, bool ack = false) {
        v1::Frame frame;
        v1::Publication& publication = *frame.mutable_publication();
        publication.set_channel(channel);
        publication.set_data("\"" + id + "\"");
        publication.set_message_id(id);
        publication.set_own_id(true);
        publication.mutable_publisher()->set_user("ann");
        publication.mutable_publisher()->set_client_id(9);
        publication.set_timestamp_ms(1'700'000'000'000);
        publication.set_stream(kStream);
        publication.set_number(number);
        if (channel != "plain") {
            publication.mutable_retention()->set_count(100);
            publication.mutable_retention()->set_age_ms(3'600'000);
            publication.mutable_retention()->set_ack(ack);
        }
        return frame;
    }
    v1::HistoryPage read(const std::string& channel, const std::string& after, bool latest = false) {
        v1::Frame frame;
        frame.mutable_read_history()->set_request(99);
        frame.mutable_read_history()->set_channel(channel);
        frame.mutable_read_history()->set_after(after);
        frame.mutable_read_history()->set_latest(latest);
        this->frame(kOtherWorker, frame);
        for (const v1::Frame& one : take(kOtherWorker)) {
            if (one.has_history_page()) return one.history_page();
        }
        ADD_FAILURE() << "no page";
        return {};
    }
    void hold(const std::string& channel, const std::string& position) {
        v1::Frame frame;
        frame.mutable_holding()->set_channel(channel);
        frame.mutable_holding()->set_position(position);
        this->frame(kPeerIn, frame);
    }
};

TEST_F(Acknowledgement, AnswersARepeatedPublishWithTheFirstOneAndDeliversItOnce) {
    for (const char* const channel : {"plain", "kept:1"}) {
        want(kOtherWorker, channel);
        take(kOtherWorker);
        publish(kWorker, channel, "m1", 1);
        const v1::Published first = take_one(kWorker).published();
        EXPECT_EQ(take(kOtherWorker).size(), 1u);
        publish(kWorker, channel, "m1", 2, "ann", 6);  // on another connection of the same user
        const v1::Published second = take_one(kWorker).published();
        EXPECT_EQ(second.request(), 2u);
        EXPECT_EQ(second.message_id(), "m1");
        EXPECT_EQ(second.position(), first.position());
        EXPECT_TRUE(take(kOtherWorker).empty()) << channel;
    }
    EXPECT_EQ(broker->counts().repeated, 2u);
    EXPECT_EQ(broker->counts().published, 2u);
}

TEST_F(Acknowledgement, TakesAnIdForAnotherOneWhenItsChannelOrPublisherIsAnother) {
    struct Case {
        const char* what;
        const char* channel;
        const char* user;
        std::uint64_t client;
        bool repeated;
    };
    const Case cases[] = {
        {"the first", "plain", "ann", 5, false},         {"the same user", "plain", "ann", 6, true},
        {"another user", "plain", "bob", 5, false},      {"another channel", "other", "ann", 5, false},
        {"a back end", "plain", "-", 0, false},          {"a back end again", "plain", "-", 0, true},
        {"nobody in particular", "plain", "", 5, false}, {"nobody, elsewhere", "plain", "", 6, false},
        {"nobody, there again", "plain", "", 5, true},
    };
    for (const Case& one : cases) {
        const auto before = broker->counts().published;
        publish(kWorker, one.channel, "m1", 1, one.user, one.client);
        EXPECT_EQ(broker->counts().published - before, one.repeated ? 0u : 1u) << one.what;
        EXPECT_TRUE(take_one(kWorker).has_published()) << one.what;
    }
}

TEST_F(Acknowledgement, LetsNobodyClaimAnIdThatWeftdMakes) {
    publish(kWorker, "plain", "", 1);
    const std::string made = take_one(kWorker).published().message_id();
    const std::string next = made.substr(0, made.find('-') + 1) + "3";
    publish(kWorker, "plain", made, 2);  // repeats nothing
    EXPECT_EQ(broker->counts().published, 2u);
    publish(kWorker, "plain", next, 3);
    publish(kWorker, "plain", "", 4);
    EXPECT_EQ(broker->counts().published, 4u) << "and what weftd names so is published all the same";
}

TEST_F(Acknowledgement, KnowsAPublicationOfAPeerWhenItIsRepeatedHere) {
    up(kPeerOut, LinkRole::peer_out);
    frame(kPeerOut, from_peer("kept:1", "m1", 1));
    publish(kWorker, "kept:1", "m1", 1);
    const v1::Published answer = take_one(kWorker).published();
    EXPECT_EQ(answer.message_id(), "m1");
    EXPECT_EQ(*Position::parse(answer.position())->find(kStream), 1u) << "its position covers the peer's entry";
    EXPECT_EQ(broker->counts().published, 0u);
    EXPECT_EQ(read("kept:1", "").events_size(), 1);
}

TEST_F(Acknowledgement, KnowsAnEntryOfAHistoryThatItReadFromAPeer) {
    up(kPeerOut, LinkRole::peer_out);
    v1::Frame digest;
    digest.mutable_digest()->set_complete(true);
    v1::Digest::Entry& entry = *digest.mutable_digest()->add_entries();
    entry.set_channel("kept:1");
    entry.set_position(Position::parse("25.1")->text());  // stream 77
    frame(kPeerOut, digest);
    v1::Frame page;
    for (const v1::Frame& one : take(kPeerOut)) {
        if (one.has_read_history()) page.mutable_history_page()->set_request(one.read_history().request());
    }
    page.mutable_history_page()->set_channel("kept:1");
    page.mutable_history_page()->set_start("25.0");
    page.mutable_history_page()->set_complete(true);
    page.mutable_history_page()->set_remaining(1);
    *page.mutable_history_page()->add_events() = from_peer("kept:1", "m1", 1).publication();
    *page.mutable_history_page()->mutable_retention() = from_peer("kept:1", "m1", 1).publication().retention();
    frame(kPeerOut, page);
    publish(kWorker, "kept:1", "m1", 1);
    EXPECT_EQ(take_one(kWorker).published().message_id(), "m1");
    EXPECT_EQ(broker->counts().repeated, 1u);
}

TEST_F(Acknowledgement, DeliversAPeersPublicationNotAgainThatItHasAccepted) {
    for (const char* const channel : {"plain", "kept:1"}) {
        up(kPeerOut, LinkRole::peer_out);
        want(kOtherWorker, channel);
        v1::Frame answer;
        answer.mutable_subscribed()->set_channel(channel);
        answer.mutable_subscribed()->set_position("25.0");
        answer.mutable_subscribed()->set_history(std::string_view(channel) != "plain");
        frame(kPeerOut, answer);
        tick_after(1s);
        publish(kWorker, channel, "m1", 1);
        sent.clear();
        frame(kPeerOut, from_peer(channel, "m1", 1));
        const v1::Publication again = take_one(kOtherWorker).publication();
        EXPECT_TRUE(again.repeat()) << channel;
        EXPECT_TRUE(again.data().empty()) << channel;
        EXPECT_EQ(*Position::parse(again.position())->find(kStream), 1u) << "but positions move on";
        frame(kPeerOut, from_peer(channel, "m2", 2));
        EXPECT_EQ(take_one(kOtherWorker).publication().message_id(), "m2");
        broker->on_link_down(kPeerOut, now);
    }
}

TEST_F(Acknowledgement, GivesAReaderOneOfTwoEntriesThatAreTheSame) {
    up(kPeerOut, LinkRole::peer_out);
    publish(kWorker, "kept:1", "m1", 1);
    const Position first = *Position::parse(take_one(kWorker).published().position());
    publish(kWorker, "kept:1", "m2", 2);
    frame(kPeerOut, from_peer("kept:1", "m1", 1));

    const v1::HistoryPage all = read("kept:1", "");
    EXPECT_EQ(all.remaining(), 2u);
    ASSERT_EQ(all.events_size(), 3);
    std::vector<std::string> given;
    for (const v1::Publication& event : all.events()) {
        if (!event.repeat()) given.push_back(event.message_id());
    }
    std::ranges::sort(given);
    EXPECT_EQ(given, (std::vector<std::string>{"m1", "m2"}));

    const v1::HistoryPage rest = read("kept:1", first.text());  // it has m1 as this node's own
    EXPECT_EQ(rest.remaining(), 1u);
    for (const v1::Publication& event : rest.events()) EXPECT_NE(event.message_id(), "m1");
    const v1::HistoryPage other = read("kept:1", "25.1");  // it has m1 as the peer's
    EXPECT_EQ(other.remaining(), 1u);
    for (const v1::Publication& event : other.events()) EXPECT_NE(event.message_id(), "m1");
}

TEST_F(Acknowledgement, AnswersWhenAPeerHoldsIt) {
    up(kPeerIn, LinkRole::peer_in);
    take(kPeerIn);
    publish(kWorker, "sure:1", "m1", 1);
    publish(kWorker, "sure:1", "", 2);
    const auto replicated = take(kPeerIn);
    ASSERT_EQ(replicated.size(), 2u);
    EXPECT_TRUE(replicated[0].publication().retention().ack());
    EXPECT_TRUE(replicated[0].publication().own_id());
    EXPECT_FALSE(replicated[1].publication().own_id());
    EXPECT_TRUE(take(kWorker).empty()) << "not before";
    EXPECT_EQ(broker->counts().awaiting, 2u);
    Position position;
    position.set(replicated[0].publication().stream(), 0);
    hold("sure:1", position.text());
    EXPECT_TRUE(take(kWorker).empty()) << "it holds nothing of this";
    position.set(replicated[0].publication().stream(), 1);
    hold("sure:1", position.text());
    EXPECT_EQ(take_one(kWorker).published().request(), 1u);
    position.set(replicated[0].publication().stream(), 2);
    hold("sure:1", position.text());
    EXPECT_EQ(take_one(kWorker).published().request(), 2u);
    EXPECT_EQ(broker->counts().awaiting, 0u);
    tick_after(10s);
    EXPECT_TRUE(take(kWorker).empty());
}

TEST_F(Acknowledgement, ConfirmsToTheNodeOfThePublisherWhatItHolds) {
    up(kPeerOut, LinkRole::peer_out);
    take(kPeerOut);
    frame(kPeerOut, from_peer("sure:1", "m1", 1, true));
    const v1::Holding holding = take_one(kPeerOut).holding();
    EXPECT_EQ(holding.channel(), "sure:1");
    EXPECT_EQ(*Position::parse(holding.position())->find(kStream), 1u);
    frame(kPeerOut, from_peer("kept:1", "m1", 1));
    EXPECT_TRUE(take(kPeerOut).empty()) << "not where nobody waits for it";
    frame(kPeerOut, from_peer("sure:1", "m3", 3, true));
    for (const v1::Frame& one : take(kPeerOut)) {
        if (one.has_holding()) {
            EXPECT_EQ(*Position::parse(one.holding().position())->find(kStream), 1u)
                << "m2 is missing here, and m3 waits";
        }
    }
}

TEST_F(Acknowledgement, RefusesWhenNoPeerConfirmsInTimeAndTheRepeatIsTheSamePublication) {
    up(kPeerIn, LinkRole::peer_in);
    publish(kWorker, "sure:1", "m1", 1);
    tick_after(1900ms);
    EXPECT_TRUE(take(kWorker).empty());
    tick_after(200ms);
    const v1::Failed failed = take_one(kWorker).failed();
    EXPECT_EQ(failed.request(), 1u);
    EXPECT_EQ(failed.code(), 4017u);
    EXPECT_GT(failed.retry_after_ms(), 0u);
    sent.clear();
    publish(kWorker, "sure:1", "m1", 2);
    EXPECT_EQ(broker->counts().published, 1u);
    const v1::Holding asked = take_one(kPeerIn).holding();
    EXPECT_TRUE(take(kWorker).empty());
    hold("sure:1", asked.position());
    EXPECT_EQ(take_one(kWorker).published().request(), 2u);
    EXPECT_EQ(broker->counts().unacknowledged, 1u);
}

TEST_F(Acknowledgement, PublishesNothingWhenThereIsNoPeerAtAll) {
    publish(kWorker, "sure:1", "m1", 1);
    const v1::Failed failed = take_one(kWorker).failed();
    EXPECT_EQ(failed.code(), 4017u);
    EXPECT_NE(failed.message().find("ack peer"), std::string::npos);
    EXPECT_EQ(broker->counts().published, 0u);
    EXPECT_EQ(read("sure:1", "").events_size(), 0);
    up(kPeerIn, LinkRole::peer_in);
    publish(kWorker, "sure:1", "m1", 2);
    EXPECT_EQ(broker->counts().published, 1u);
}

TEST_F(Acknowledgement, AsksAgainForAPublicationOfAPeerThatIsGone) {
    up(kPeerOut, LinkRole::peer_out);
    frame(kPeerOut, from_peer("sure:1", "m1", 1, true));
    broker->on_link_down(kPeerOut, now);
    up(kPeerIn, LinkRole::peer_in);
    sent.clear();
    publish(kWorker, "sure:1", "m1", 1);
    EXPECT_TRUE(take(kWorker).empty()) << "this node alone has it";
    const v1::Holding asked = take_one(kPeerIn).holding();
    EXPECT_EQ(*Position::parse(asked.position())->find(kStream), 1u);
    hold("sure:1", asked.position());
    EXPECT_EQ(take_one(kWorker).published().request(), 1u);
}

TEST_F(Acknowledgement, FetchesWhatItIsAskedForAndDoesNotHold) {
    up(kPeerOut, LinkRole::peer_out);
    take(kPeerOut);
    v1::Frame asked;
    asked.mutable_holding()->set_channel("sure:1");
    asked.mutable_holding()->set_position("25.1");
    frame(kPeerOut, asked);
    v1::Frame page;
    for (const v1::Frame& one : take(kPeerOut)) {
        EXPECT_FALSE(one.has_holding());
        if (one.has_read_history()) page.mutable_history_page()->set_request(one.read_history().request());
    }
    ASSERT_NE(page.history_page().request(), 0u);
    page.mutable_history_page()->set_channel("sure:1");
    page.mutable_history_page()->set_start("25.0");
    page.mutable_history_page()->set_complete(true);
    *page.mutable_history_page()->add_events() = from_peer("sure:1", "m1", 1).publication();
    *page.mutable_history_page()->mutable_retention() = from_peer("sure:1", "m1", 1, true).publication().retention();
    frame(kPeerOut, page);
    v1::Holding told;
    for (const v1::Frame& one : take(kPeerOut)) {
        if (one.has_holding()) told = one.holding();
    }
    EXPECT_EQ(told.position().empty() ? 0 : *Position::parse(told.position())->find(kStream), 1u);
    frame(kPeerOut, asked);
    EXPECT_TRUE(take_one(kPeerOut).has_holding()) << "now it has it";
}

TEST_F(Acknowledgement, ReadsTheNewestEntryAlone) {
    EXPECT_EQ(read("kept:1", "", true).events_size(), 0);
    for (int i = 1; i <= 3; ++i) publish(kWorker, "kept:1", "m" + std::to_string(i), 1);
    const v1::HistoryPage page = read("kept:1", "", true);
    ASSERT_EQ(page.events_size(), 1);
    EXPECT_EQ(page.events(0).message_id(), "m3");
    EXPECT_TRUE(page.complete());
    EXPECT_FALSE(page.lost());
    EXPECT_EQ(page.remaining(), 1u);
}

TEST(RecentIds, ForgetsByAgeByChannelAndByBytes) {
    const Instant start{1'000'000ms};
    RecentIds ids({.window = 10s, .max_bytes = 5'000'000});
    EXPECT_EQ(ids.note("c", nullptr, "first", {1, 1}, start), nullptr);
    EXPECT_EQ(ids.note("c", nullptr, "first", {1, 1}, start), nullptr) << "the same publication";
    ASSERT_NE(ids.note("c", nullptr, "first", {1, 2}, start), nullptr);
    ids.expire(start + 9s);
    EXPECT_NE(ids.find("c", nullptr, "first"), nullptr);
    ids.expire(start + 10s);
    EXPECT_EQ(ids.find("c", nullptr, "first"), nullptr);
    EXPECT_EQ(ids.bytes(), 0u);

    ids.note("quiet", nullptr, "x", {1, 1}, start);
    for (std::uint64_t i = 1; i <= RecentIds::kMaxPerChannel + 1; ++i) {
        ids.note("c", nullptr, std::to_string(i), {2, i}, start);
    }
    EXPECT_EQ(ids.find("c", nullptr, "1"), nullptr);
    EXPECT_NE(ids.find("c", nullptr, "2"), nullptr);
    EXPECT_NE(ids.find("quiet", nullptr, "x"), nullptr) << "a channel that floods pays itself";
    for (std::uint64_t i = 1; i <= 20'000; ++i) ids.note("c" + std::to_string(i), nullptr, "x", {2, i}, start);
    EXPECT_LE(ids.bytes(), 5'000'000u);
    EXPECT_EQ(ids.find("quiet", nullptr, "x"), nullptr);
    EXPECT_NE(ids.find("c20000", nullptr, "x"), nullptr);
}

TEST(RecentIds, KeepsNamesApartWhateverIsInThem) {
    RecentIds ids({});
    v1::Publisher one, other;
    one.set_user(std::string("b\0c", 3));
    other.set_user("c");
    ids.note("ch", &one, "a", {1, 1}, {});
    EXPECT_EQ(ids.find("ch", &other, std::string_view("a\0b", 3)), nullptr);
}

TEST(Repeats, GiveOneOfEachGroupAndForgetTheOldest) {
    Repeats repeats;
    repeats.add({1, 7}, {2, 5});
    repeats.add({2, 5}, {3, 3});
    Repeats::Filter nothing(&repeats, {});
    EXPECT_FALSE(nothing.repeats({3, 3}));
    EXPECT_TRUE(nothing.repeats({1, 7}));
    EXPECT_TRUE(nothing.repeats({2, 5}));
    EXPECT_FALSE(nothing.repeats({1, 8}));
    Position had;
    had.set(2, 5);
    Repeats::Filter one(&repeats, had);
    EXPECT_TRUE(one.repeats({1, 7}));
    EXPECT_TRUE(one.repeats({3, 3}));
    for (std::uint64_t i = 0; i < Repeats::kMax; ++i) repeats.add({4, i + 1}, {5, i + 1});
    Repeats::Filter later(&repeats, had);
    EXPECT_FALSE(later.repeats({1, 7}));
}

}  // namespace
}  // namespace weft

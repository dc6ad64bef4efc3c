// The history of one channel, and all histories of a node.
#include "broker/history.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "broker/archive.hpp"
#include "broker/channel.hpp"
#include "broker/repeats.hpp"
#include "broker_fixture.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using Take = History::Take;

const Instant kStart{1'000'000ms};

Position at(std::string_view text) {
    return *Position::parse(text);
}

// Of the processor, and of this process alone: two of them are compared with each other, and with much to spare.
template <class Work>
std::clock_t cost_of(Work work) {
    const std::clock_t before = std::clock();
    work();
    return std::clock() - before;
}

std::string text_of(const History& history, const Position& from) {
    std::string all;
    history.read(from, [&](const HistoryEntry& entry) {
        if (!all.empty()) all += ' ';
        all += entry.text();
        return true;
    });
    return all;
}

// Streams 10 ("a") and 11 ("b").
class ChannelHistory : public testing::Test {
protected:
    Take take(StreamId stream, std::uint64_t number, std::int64_t time = 0, Instant born = kStart) {
        return history.take(stream, number, time, born,
                            std::string(1, stream == 10 ? 'a' : 'b') + std::to_string(number));
    }
    History history{{100, 60s}};
};

TEST_F(ChannelHistory, TakesEachEntryOnceAndInOrder) {
    EXPECT_EQ(take(10, 1), Take::taken);
    EXPECT_EQ(take(10, 1), Take::known);
    EXPECT_EQ(take(10, 3), Take::missing);
    EXPECT_EQ(take(10, 2), Take::taken);
    EXPECT_EQ(take(11, 2), Take::missing) << "a stream begins with 1";
    EXPECT_EQ(text_of(history, {}), "a1 a2");
    EXPECT_EQ(history.position().text(), "a.2");
}

TEST_F(ChannelHistory, HasTheSameOrderWhateverCameFirst) {
    take(10, 1, 5), take(10, 2, 20), take(11, 1, 10), take(11, 2, 30), take(10, 3, 25);
    EXPECT_EQ(text_of(history, {}), "a1 b1 a2 a3 b2");
    History other{{100, 60s}};
    other.take(11, 1, 10, kStart, "b1"), other.take(11, 2, 30, kStart, "b2");
    for (const auto& [number, time] : {std::pair{1, 5}, {2, 20}, {3, 25}}) {
        other.take(10, number, time, kStart, "a" + std::to_string(number));
    }
    EXPECT_EQ(text_of(other, {}), "a1 b1 a2 a3 b2");
}

TEST_F(ChannelHistory, KeepsAStreamInOrderThoughItsClockGoesBack) {
    take(10, 1, 100), take(10, 2, 50), take(11, 1, 70), take(10, 3, 60);
    EXPECT_EQ(text_of(history, {}), "b1 a1 a2 a3");
}

TEST_F(ChannelHistory, GivesWhatLiesBehindAPosition) {
    take(10, 1, 1), take(11, 1, 2), take(10, 2, 3), take(11, 2, 4);
    const History::Start start = history.start(at("a.1_b.2"));
    EXPECT_FALSE(start.lost || start.unknown || start.ahead);
    EXPECT_EQ(text_of(history, start.position), "a2");
    EXPECT_EQ(text_of(history, history.start(at("b.1")).position), "a1 a2 b2")
        << "a stream not named: from its beginning";
}

TEST_F(ChannelHistory, SaysWhatCantBeHadAnyMore) {
    history.retain({2, 60s});
    for (int i = 1; i <= 5; ++i) take(10, static_cast<std::uint64_t>(i));
    history.trim(kStart);
    EXPECT_EQ(text_of(history, {}), "a4 a5");
    const History::Start before = history.start(at("a.2"));
    EXPECT_TRUE(before.lost);
    EXPECT_EQ(before.position.text(), "a.3");
    EXPECT_FALSE(history.start(at("a.3")).lost) << "what comes next is still there";
}

TEST_F(ChannelHistory, KnowsWhoKnowsMore) {
    take(10, 1);
    const History::Start ahead = history.start(at("a.7"));
    EXPECT_TRUE(ahead.ahead);
    EXPECT_FALSE(ahead.lost) << "it has all that this node has";
    EXPECT_EQ(ahead.position.text(), "a.7");
    const History::Start unknown = history.start(at("a.1_b.3"));
    EXPECT_TRUE(unknown.unknown && unknown.lost && unknown.ahead);
    EXPECT_EQ(unknown.position.text(), "a.1");
    EXPECT_FALSE(history.start(at("a.1_b.0")).lost) << "nothing was published there";
}

TEST_F(ChannelHistory, ForgetsByAge) {
    take(10, 1, 0, kStart), take(10, 2, 1, kStart + 30s);
    history.trim(kStart + 59'999ms);
    EXPECT_EQ(history.size(), 2u);
    history.trim(kStart + 60s);
    EXPECT_EQ(text_of(history, {}), "a2");
    history.trim(kStart + 90s);
    EXPECT_EQ(history.size(), 0u);
    EXPECT_EQ(history.bytes(), 0u);
    EXPECT_EQ(history.position().text(), "a.2") << "the position stays";
}

TEST_F(ChannelHistory, MovesPastALossOnce) {
    take(10, 1), take(10, 2);
    EXPECT_FALSE(history.raise(10, 2));
    EXPECT_TRUE(history.raise(10, 9));
    EXPECT_FALSE(history.raise(10, 9));
    EXPECT_EQ(text_of(history, {}), "") << "what lies before the loss can't be reached any more";
    EXPECT_EQ(take(10, 10), Take::taken);
    EXPECT_FALSE(history.raise(11, 0)) << "nothing was missed of it";
    EXPECT_EQ(take(11, 1), Take::taken);
}

TEST_F(ChannelHistory, DropsOneStreamFromAmongOthers) {
    for (std::uint64_t i = 1; i <= 4; ++i) {
        take(10, i, static_cast<std::int64_t>(i)), take(11, i, static_cast<std::int64_t>(i));
    }
    history.drop_oldest();
    history.drop_oldest();
    EXPECT_TRUE(history.raise(10, 9));
    EXPECT_EQ(text_of(history, {}), "b2 b3 b4");
    EXPECT_EQ(history.bytes(), 3 * (History::kEntryCost + 2));
    EXPECT_EQ(take(10, 10, 2), Take::taken);
    EXPECT_EQ(text_of(history, {}), "b2 b3 a10 b4") << "no earlier than what was dropped of it";
    EXPECT_EQ(history.take(12, 1, 1, kStart, "c1"), Take::taken) << "before all that is here";
    EXPECT_EQ(text_of(history, {}), "c1 b2 b3 a10 b4");
    EXPECT_TRUE(history.raise(10, 11) && history.raise(11, 5) && history.raise(12, 2));
    EXPECT_EQ(history.size(), 0u);
    EXPECT_EQ(history.bytes(), 0u);
    EXPECT_EQ(take(11, 6, 9), Take::taken);
    EXPECT_EQ(text_of(history, {}), "b6");
}

TEST_F(ChannelHistory, DropsALongStreamInOnePass) {
    constexpr std::uint64_t kEntries = 50'000;
    const auto fill = [&] {
        for (std::uint64_t i = 1; i <= kEntries; ++i) {
            take(10, i, static_cast<std::int64_t>(i)), take(11, i, static_cast<std::int64_t>(i));
        }
    };
    const auto filling = cost_of(fill);
    const auto dropping = cost_of([&] { history.raise(11, kEntries + 1); });
    EXPECT_EQ(history.size(), kEntries);
    EXPECT_LT(dropping, 10 * filling) << "with a pass an entry it is more than 50 times that";
}

TEST_F(ChannelHistory, TellsWhatIsGone) {
    take(10, 1), take(10, 2);
    history.drop_oldest();
    EXPECT_TRUE(history.gone(10, 1));
    EXPECT_FALSE(history.gone(10, 2));
    EXPECT_FALSE(history.gone(10, 3)) << "it may come";
    EXPECT_TRUE(history.gone(11, 1));
}

TEST_F(ChannelHistory, ForgetsTheMostSilentStreamAndSaysSoToThoseWhoCameBefore) {
    take(10, 1, 1);
    const std::string before = history.position().text();
    for (StreamId stream = 100; stream < 100 + History::kMaxStreams; ++stream) {
        history.take(stream, 1, static_cast<std::int64_t>(stream), kStart, "x");
    }
    EXPECT_EQ(history.streams().size(), History::kMaxStreams);
    EXPECT_EQ(history.streams().front().id, 10u) << "the first is the node's own";
    EXPECT_EQ(history.position().find(100), nullptr);
    EXPECT_TRUE(history.start(at(before)).lost);
    EXPECT_FALSE(history.start(history.position()).lost);
    EXPECT_FALSE(history.raise(100, 1)) << "a peer that still names it brings no news";
    EXPECT_EQ(history.position().find(100), nullptr);
}

TEST_F(ChannelHistory, CostsWhatItSays) {
    for (int i = 1; i <= 50; ++i) take(10, static_cast<std::uint64_t>(i));
    EXPECT_EQ(sizeof(HistoryEntry), 40u);
    EXPECT_EQ(history.bytes(), 50 * History::kEntryCost + 9 * 2 + 41 * 3);
}

// --- all of a node -----------------------------------------------------------------------------------------------

class NodeArchive : public testing::Test {
protected:
    NodeArchive() : archive(100'000, 77) {}
    Channel& channel(const std::string& name, std::uint32_t count = 100'000) {
        const bool is_new = !channels.contains(name);
        Channel& channel = channels[name];
        if (is_new) {
            channel.name = channels.find(name)->first;
            channel.stream = channels.size();
            channel.position.set(channel.stream, 0);
            archive.open(channel, {count, 1h});
        }
        return channel;
    }
    void publish(Channel& channel, std::size_t size = 100) {
        v1::Publication publication;
        publication.set_data(std::string(size, 'x'));
        publication.set_stream(channel.stream);
        publication.set_number(++channel.number);
        EXPECT_EQ(Archive::take(*channel.history, publication, kStart), Take::taken);
        archive.changed(*channel.history, kStart);
    }
    v1::Digest digest(std::uint64_t life, std::uint64_t since) {
        v1::ReadDigest request;
        request.set_life(life);
        request.set_since(since);
        v1::Digest digest;
        archive.digest(request, digest);
        return digest;
    }

    std::map<std::string, Channel> channels;
    Archive archive;
};

TEST_F(NodeArchive, LetsTheChannelThatHoldsMostPay) {
    Channel& quiet = channel("quiet");
    for (int i = 0; i < 10; ++i) publish(quiet);
    Channel& loud = channel("loud");
    for (int i = 0; i < 5'000; ++i) {
        publish(loud);
        ASSERT_LE(archive.bytes(), 100'000u);
    }
    EXPECT_EQ(quiet.history->log.size(), 10u);
    EXPECT_GT(archive.evicted(), 4'000u);
    EXPECT_GT(loud.history->log.size(), 300u);
    Position start;
    start.set(loud.stream, 1);
    EXPECT_TRUE(loud.history->log.start(start).lost) << "and a resume past it is told";
}

TEST_F(NodeArchive, KeepsTheNewestEntryOfNothingTooLargeForAll) {
    Channel& one = channel("one");
    publish(one, 200'000);
    EXPECT_EQ(archive.bytes(), 0u);
    publish(one, 100);
    EXPECT_EQ(one.history->log.size(), 1u);
}

TEST_F(NodeArchive, DigestsSayWhatChangedSince) {
    publish(channel("x")), publish(channel("y"));
    const v1::Digest all = digest(0, 0);
    EXPECT_EQ(all.entries_size(), 2);
    EXPECT_TRUE(all.complete());
    EXPECT_EQ(digest(77, all.version()).entries_size(), 0);
    publish(channel("x"));
    const v1::Digest changed = digest(77, all.version());
    ASSERT_EQ(changed.entries_size(), 1);
    EXPECT_EQ(changed.entries(0).channel(), "x");
    EXPECT_EQ(changed.entries(0).position(), channel("x").position.text());
    EXPECT_EQ(digest(76, all.version()).entries_size(), 2) << "of another life: all of it";
}

TEST_F(NodeArchive, DigestsComeInPages) {
    for (std::size_t i = 0; i < Archive::kDigestEntries + 5; ++i) publish(channel(std::to_string(i)));
    const v1::Digest first = digest(0, 0);
    EXPECT_EQ(first.entries_size(), static_cast<int>(Archive::kDigestEntries));
    EXPECT_FALSE(first.complete());
    const v1::Digest rest = digest(77, first.version());
    EXPECT_EQ(rest.entries_size(), 5);
    EXPECT_TRUE(rest.complete());
}

TEST_F(NodeArchive, PagesAreBoundedByBytesAndByTheLimit) {
    Channel& one = channel("one");
    for (int i = 0; i < 200; ++i) publish(one, 400);
    v1::ReadHistory request;
    request.set_channel("one");
    v1::HistoryPage page;
    Archive::read(&one, {}, request, false, kStart, page);
    EXPECT_FALSE(page.complete());
    EXPECT_EQ(page.remaining(), 200u);
    EXPECT_NEAR(page.events_size(), Archive::kPageBytes / 400, 5);
    request.set_limit(3);
    page.Clear();
    Archive::read(&one, {}, request, false, kStart, page);
    EXPECT_EQ(page.events_size(), 3);
    EXPECT_EQ(page.events(2).number(), 3u);
}

// What is left of a channel may go without being counted: it stands among the largest, and is empty.
TEST_F(NodeArchive, EvictsNothingFromAnEmptyHistory) {
    Channel& large = channel("large");
    for (int i = 0; i < 350; ++i) publish(large);
    Channel& other = channel("other");
    for (int i = 0; i < 220; ++i) publish(other);
    ASSERT_GT(archive.bytes(), 95'000u);
    ASSERT_EQ(archive.evicted(), 0u);
    large.history->log.trim(kStart + 2h);
    ASSERT_EQ(large.history->log.size(), 0u);
    for (int i = 0; i < 50; ++i) publish(other);
    EXPECT_EQ(archive.evicted(), 0u);
    EXPECT_EQ(other.history->log.size(), 270u);
    EXPECT_EQ(archive.bytes(), other.history->log.bytes()) << "and now it is counted";
}

TEST_F(NodeArchive, EvictsNothingFromAHistoryWhoseStreamWasForgotten) {
    Channel& large = channel("large");
    v1::Publication publication;
    publication.set_data(std::string(100, 'x'));
    publication.set_stream(500);  // of a peer, and silent for longest
    for (std::uint64_t i = 1; i <= 350; ++i) {
        publication.set_number(i);
        ASSERT_EQ(Archive::take(*large.history, publication, kStart), Take::taken);
        archive.changed(*large.history, kStart);
    }
    Channel& other = channel("other");
    for (int i = 0; i < 220; ++i) publish(other);
    ASSERT_GT(archive.bytes(), 95'000u);
    for (StreamId stream = 1'000; large.history->log.size() > 0; ++stream) {
        ASSERT_FALSE(large.history->log.raise(stream, 0)) << "so nobody calls changed()";
    }
    for (int i = 0; i < 50; ++i) publish(other);
    EXPECT_EQ(archive.evicted(), 0u);
    EXPECT_EQ(archive.bytes(), other.history->log.bytes());
}

TEST_F(NodeArchive, CountsWhatItTrims) {
    Channel& one = channel("one");
    publish(one), publish(one);
    archive.trim(*one.history, kStart + 59min);
    EXPECT_EQ(archive.bytes(), one.history->log.bytes());
    EXPECT_GT(archive.bytes(), 0u);
    archive.trim(*one.history, kStart + 1h);
    EXPECT_EQ(archive.bytes(), 0u);
}

TEST_F(NodeArchive, ForgetsRepeatsWithTheirEntries) {
    Channel& one = channel("one", 3);
    v1::Publication publication;
    publication.set_data("x");
    publication.set_stream(500);
    for (std::uint64_t i = 1; i <= 20; ++i) {
        publish(one);
        publication.set_number(i);
        ASSERT_EQ(Archive::take(*one.history, publication, kStart), Take::taken);
        archive.changed(*one.history, kStart);
        if (!one.history->repeats) one.history->repeats = std::make_unique<Repeats>();
        one.history->repeats->add({one.stream, i}, {500, i});
        ASSERT_LE(one.history->repeats->size(), 4u);
    }
    // By their timestamps all entries of the channel's own stream come first: they are gone, the others aren't.
    v1::ReadHistory request;
    request.set_channel("one");
    v1::HistoryPage page;
    Position had;
    had.set(one.stream, 19);
    Archive::read(&one, had, request, false, kStart, page);
    ASSERT_EQ(page.events_size(), 3);
    EXPECT_TRUE(page.events(0).repeat() && page.events(1).repeat()) << "the reader has them as the channel's own";
    EXPECT_FALSE(page.events(2).repeat());
    archive.trim(*one.history, kStart + 1h);
    EXPECT_EQ(one.history->repeats, nullptr);
}

TEST_F(NodeArchive, GivesBackAllWhenAChannelGoes) {
    publish(channel("x"));
    EXPECT_GT(archive.bytes(), 0u);
    archive.close(channel("x"));
    EXPECT_EQ(archive.bytes(), 0u);
    EXPECT_EQ(archive.histories(), 0u);
    EXPECT_EQ(digest(0, 0).entries_size(), 0);
}

// --- what is the same ---------------------------------------------------------------------------------------------

TEST(RepeatsOfAHistory, GoWhenAllOfTheirEntriesAreGone) {
    Repeats repeats;
    for (std::uint64_t i = 1; i <= 5; ++i) repeats.add({1, i}, {2, i});
    std::uint64_t of_one = 5, of_two = 2;
    const auto gone = [&](const Repeats::Entry& entry) {
        return entry.number <= (entry.stream == 1 ? of_one : of_two);
    };
    repeats.drop(gone);
    EXPECT_EQ(repeats.size(), 3u) << "of the third a reader that had the first entry isn't to be given the second";
    Position had;
    had.set(1, 3);
    Repeats::Filter filter(&repeats, had);
    EXPECT_FALSE(filter.repeats({2, 2})) << "not known any more";
    EXPECT_TRUE(filter.repeats({2, 3}));
    EXPECT_FALSE(filter.repeats({2, 4}));
    EXPECT_TRUE(filter.repeats({1, 4}));
    repeats.add({2, 5}, {3, 1});
    repeats.add({1, 6}, {2, 6});
    Repeats::Filter after(&repeats, {});
    EXPECT_FALSE(after.repeats({1, 5}));
    EXPECT_TRUE(after.repeats({3, 1}));
    EXPECT_FALSE(after.repeats({2, 6}));
    EXPECT_TRUE(after.repeats({1, 6}));
    of_one = of_two = 6;
    repeats.drop(gone);
    EXPECT_EQ(repeats.size(), 0u);
    repeats.add({1, 7}, {2, 7});
    Repeats::Filter last(&repeats, {});
    EXPECT_FALSE(last.repeats({1, 7}));
    EXPECT_TRUE(last.repeats({2, 7}));
}

TEST(RepeatsOfAHistory, CostAReaderNoMoreWhenThereAreMany) {
    Repeats few, many;
    few.add({1, 1}, {2, 1});
    for (std::uint64_t i = 1; i <= Repeats::kMax; ++i) many.add({1, i}, {2, i});
    const auto read = [](const Repeats& repeats) {
        return cost_of([&] {
            Repeats::Filter filter(&repeats, {});
            for (std::uint64_t i = 1; i <= 200'000; ++i) EXPECT_FALSE(filter.repeats({3, i}));
        });
    };
    const auto of_few = read(few);
    EXPECT_LT(read(many), 20 * of_few) << "when each is looked at it is some hundred times that";
}

// --- a broker's ---------------------------------------------------------------------------------------------------

class BrokersHistory : public BrokerFixture {};

TEST_F(BrokersHistory, CountsWhatAReadFindsTooOld) {
    BrokerSettings settings;
    settings.channel_linger = 7'200'000ms;
    settings.history_bytes = 100'000;
    start(settings);
    v1::ChannelRules rules;
    rules.set_generation(1);
    add_rule(rules, "*", false);
    broker->on_rules(rules);
    up(kWorker, LinkRole::worker);
    broker->on_tick(now);
    tick_after(60s);
    const auto publish = [&](const std::string& channel, std::size_t size) {
        v1::Frame frame;
        frame.mutable_publish()->set_channel(channel);
        frame.mutable_publish()->set_data(std::string(size, '1'));
        this->frame(kWorker, frame);
    };
    for (int i = 0; i < 60; ++i) publish("large", 1'000);
    now += 30min;
    for (int i = 0; i < 30; ++i) publish("other", 1'000);
    ASSERT_EQ(broker->counts().evicted, 0u);
    ASSERT_GT(broker->counts().history_bytes, 90'000u);
    now += 31min;
    v1::Frame frame;
    frame.mutable_read_history()->set_request(1);
    frame.mutable_read_history()->set_channel("large");
    this->frame(kWorker, frame);
    EXPECT_LT(broker->counts().history_bytes, 40'000u);
    for (int i = 0; i < 30; ++i) publish("other", 1'000);
    EXPECT_EQ(broker->counts().evicted, 0u);
}

}  // namespace
}  // namespace weft

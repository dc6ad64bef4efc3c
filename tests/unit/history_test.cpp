// The history of one channel, and all histories of a node.
#include "broker/history.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "broker/archive.hpp"
#include "broker/channel.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using Take = History::Take;

const Instant kStart{1'000'000ms};

Position at(std::string_view text) {
    return *Position::parse(text);
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

TEST_F(NodeArchive, GivesBackAllWhenAChannelGoes) {
    publish(channel("x"));
    EXPECT_GT(archive.bytes(), 0u);
    archive.close(channel("x"));
    EXPECT_EQ(archive.bytes(), 0u);
    EXPECT_EQ(archive.histories(), 0u);
    EXPECT_EQ(digest(0, 0).entries_size(), 0);
}

}  // namespace
}  // namespace weft

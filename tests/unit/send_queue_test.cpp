#include "gateway/send_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

namespace weft {
namespace {

TEST(SharedBytes, CopiesOfItShareOneBlockOfBytes) {
    const std::string text = "hello";
    const SharedBytes first(text);
    const SharedBytes second = first;
    SharedBytes third;
    third = second;
    EXPECT_EQ(first.view(), "hello");
    EXPECT_NE(first.view().data(), text.data());
    EXPECT_EQ(second.view().data(), first.view().data());
    EXPECT_EQ(third.view().data(), first.view().data());
}

TEST(SharedBytes, OutlivesTheOneItWasCopiedFrom) {
    auto first = std::make_unique<SharedBytes>("hello");
    const SharedBytes second = *first;
    first.reset();
    EXPECT_EQ(second.view(), "hello");
}

TEST(SharedBytes, IsEmptyWhenMadeOfNothingAndWhenMovedFrom) {
    const SharedBytes none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.size(), 0U);
    EXPECT_EQ(none.view(), "");
    SharedBytes some("x");
    const SharedBytes taken = std::move(some);
    EXPECT_TRUE(taken);
    EXPECT_FALSE(some);  // NOLINT(bugprone-use-after-move): what it says
}

TEST(SharedBytes, SurvivesAssignmentToItself) {
    SharedBytes bytes("hello");
    const SharedBytes& same = bytes;
    bytes = same;
    EXPECT_EQ(bytes.view(), "hello");
}

class SendQueueTest : public testing::Test {
protected:
    std::string_view next(std::size_t scratch_size = sizeof scratch) { return queue.next(scratch, scratch_size); }

    SendQueue queue;
    char scratch[64];
};

TEST_F(SendQueueTest, IsEmptyAtFirst) {
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.bytes(), 0U);
    EXPECT_EQ(next(), "");
}

TEST_F(SendQueueTest, WritesALoneChunkFromWhereItLies) {
    const SharedBytes chunk("hello");
    queue.push(chunk);
    EXPECT_EQ(next().data(), chunk.view().data());
    queue.consume(2);
    EXPECT_EQ(next(), "llo");
    EXPECT_EQ(next().data(), chunk.view().data() + 2);
    EXPECT_EQ(queue.bytes(), 3U);
}

TEST_F(SendQueueTest, GathersSeveralChunksIntoOneWrite) {
    for (const char* text : {"ab", "cd", "ef"}) queue.push(SharedBytes(text));
    EXPECT_EQ(queue.bytes(), 6U);
    EXPECT_EQ(next(), "abcdef");
    queue.consume(3);
    EXPECT_EQ(next(), "def");
    queue.consume(3);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(next(), "");
}

TEST_F(SendQueueTest, GathersNoMoreThanTheScratchHolds) {
    for (const char* text : {"ab", "cdef", "gh"}) queue.push(SharedBytes(text));
    EXPECT_EQ(next(5), "abcde");
    EXPECT_EQ(next(2), "ab");
    EXPECT_EQ(next(1), "ab") << "a chunk that fills the scratch by itself needn't be copied";
}

TEST_F(SendQueueTest, RewritesFromTheFrontAsMuchAsIsWanted) {
    class Doubling final : public SendQueue::Rewriting {
    public:
        SharedBytes rewrite(const SharedBytes& chunk) override {
            return SharedBytes(std::string(chunk.view()) + std::string(chunk.view()), chunk.frames());
        }
    } doubling;
    for (const char* text : {"ab", "c", "def", "g"}) queue.push(SharedBytes(text));
    EXPECT_EQ(queue.rewrite(0, 5, doubling), 6U) << "two chunks are enough";
    EXPECT_EQ(next(), "ababccdefg");
    EXPECT_EQ(queue.bytes(), 10U);
    queue.consume(1);
    EXPECT_EQ(queue.rewrite(5, 5, doubling), 5U) << "they are there already";
    EXPECT_EQ(queue.rewrite(5, 6, doubling), 11U);
    EXPECT_EQ(next(), "babccdefdefg");
    queue.push(SharedBytes("h"));
    queue.consume(11);
    EXPECT_EQ(queue.rewrite(0, 100, doubling), 4U);
    EXPECT_EQ(next(), "gghh");
    EXPECT_EQ(queue.bytes(), 4U);
    queue.consume(4);
    EXPECT_EQ(queue.rewrite(0, 100, doubling), 0U);
    EXPECT_TRUE(queue.empty());
}

TEST_F(SendQueueTest, KeepsWhatWasRewrittenWhateverItDrops) {
    class Doubling final : public SendQueue::Rewriting {
    public:
        SharedBytes rewrite(const SharedBytes& chunk) override {
            return SharedBytes(std::string(chunk.view()) + std::string(chunk.view()));
        }
    } doubling;
    const auto tag = ChunkTag::publications(7);
    for (const char* text : {"ab", "cd", "ef", "gh"}) queue.push(SharedBytes(text), tag);
    const std::size_t done = queue.rewrite(0, 5, doubling);
    EXPECT_EQ(queue.drop(tag, done), 2U);
    EXPECT_EQ(next(), "ababcdcd");
    queue.push(SharedBytes("ij"), tag);
    queue.drop_unstarted(done);
    EXPECT_EQ(next(), "ababcdcd");
}

TEST_F(SendQueueTest, TakesNoticeOfNothingPushed) {
    queue.push(SharedBytes());
    queue.push(SharedBytes(""));
    EXPECT_TRUE(queue.empty());
    queue.push(SharedBytes("a"));
    queue.push(SharedBytes(""));
    queue.push(SharedBytes("b"));
    EXPECT_EQ(next(), "ab");
    queue.consume(2);
    EXPECT_TRUE(queue.empty());
}

TEST_F(SendQueueTest, KeepsOnlyTheRestOfAHalfWrittenChunkWhenToldToDrop) {
    for (const char* text : {"abc", "def", "ghi"}) queue.push(SharedBytes(text));
    queue.consume(4);
    queue.drop_unstarted();
    EXPECT_EQ(queue.bytes(), 2U);
    EXPECT_EQ(next(), "ef");
    queue.push(SharedBytes("!"));
    EXPECT_EQ(next(), "ef!");
}

TEST_F(SendQueueTest, DropsEverythingBetweenChunks) {
    for (const char* text : {"abc", "def"}) queue.push(SharedBytes(text));
    queue.consume(3);
    queue.drop_unstarted();
    EXPECT_TRUE(queue.empty());
    queue.drop_unstarted();
    EXPECT_TRUE(queue.empty());
    queue.push(SharedBytes("x"));
    EXPECT_EQ(next(), "x");
}

TEST_F(SendQueueTest, KeepsWholeChunksAsFarAsBytesAreCommitted) {
    const struct {
        std::size_t written;
        std::size_t committed;
        const char* kept;
    } cases[] = {
        {0, 0, ""},      {0, 1, "abc"}, {0, 3, "abc"},   {0, 4, "abcdef"}, {0, 99, "abcdefghi"},
        {1, 0, "bc"},    {1, 2, "bc"},  {1, 3, "bcdef"}, {3, 0, ""},       {3, 1, "def"},
        {4, 3, "efghi"}, {8, 0, "i"},   {8, 5, "i"},     {9, 5, ""},
    };
    for (const auto& [written, committed, kept] : cases) {
        SCOPED_TRACE(testing::Message() << written << " written, " << committed << " committed");
        SendQueue queue;
        for (const char* text : {"abc", "def", "ghi"}) queue.push(SharedBytes(text));
        queue.consume(written);
        queue.drop_unstarted(committed);
        EXPECT_EQ(queue.next(scratch, sizeof scratch), kept);
        EXPECT_EQ(queue.bytes(), std::string_view(kept).size());
        queue.push(SharedBytes("!"));
        EXPECT_EQ(queue.next(scratch, sizeof scratch), std::string(kept) + "!");
    }
}

TEST(ChunkTag, TellsPublicationsGapsAndAnswersApart) {
    EXPECT_FALSE(ChunkTag().is_publications());
    EXPECT_FALSE(ChunkTag().is_gap());
    EXPECT_TRUE(ChunkTag::publications(7).is_publications());
    EXPECT_FALSE(ChunkTag::publications(7).is_gap());
    EXPECT_TRUE(ChunkTag::gap(7).is_gap());
    EXPECT_FALSE(ChunkTag::gap(7).is_publications());
    EXPECT_EQ(ChunkTag::gap(7).feed(), 7U);
    EXPECT_EQ(ChunkTag::publications(0x7fffffff).feed(), 0x7fffffffU);
    EXPECT_NE(ChunkTag::publications(7), ChunkTag::gap(7));
}

// Feeds 1 and 2 may lose publications, 3 may not. Publications are "1a" to "3z", gaps "[1]".
class SheddingTest : public SendQueueTest, public SendQueue::Shedding {
protected:
    void publish(const char* text) { queue.push(SharedBytes(text), ChunkTag::publications(text[0] - '0')); }
    void answer(const char* text) { queue.push(SharedBytes(text)); }
    std::string all() {
        std::string text;
        for (char room[64]; !queue.empty(); queue.consume(1)) text += queue.next(room, sizeof room)[0];
        return text;
    }
    bool may_drop(std::uint32_t feed) override { return feed != 3; }
    SharedBytes gap(std::uint32_t feed) override { return SharedBytes("[" + std::to_string(feed) + "]"); }
};

TEST_F(SheddingTest, DropsTheOldestPublicationsAndTellsTheGapWhereTheyWere) {
    const struct {
        std::vector<const char*> queued;
        std::size_t target;
        std::size_t written;
        std::size_t committed;
        std::uint32_t dropped;
        const char* left;
    } cases[] = {
        {{"1a", "1b", "1c", "1d"}, 8, 0, 0, 0, "1a1b1c1d"},
        {{"1a", "1b", "1c", "1d"}, 7, 0, 0, 2, "[1]1c1d"},
        {{"1a", "1b", "1c", "1d"}, 0, 0, 0, 4, "[1]"},
        {{"1a", "2b", "1c", "2d", "1e"}, 0, 0, 0, 5, "[1][2]"},
        {{"1a", "2b", "1c", "2d", "1e"}, 8, 0, 0, 4, "[1][2]1e"},
        {{"1a", "!", "1b"}, 0, 0, 0, 2, "[1]!"},
        {{"!", "1a", "1b"}, 0, 0, 0, 2, "![1]"},
        {{"3a", "1a", "3b", "1b"}, 0, 0, 0, 2, "3a[1]3b"},
        {{"1a", "1b", "1c"}, 0, 1, 0, 2, "a[1]"},
        {{"1a", "1b", "1c"}, 0, 0, 1, 2, "1a[1]"},
        {{"1a", "1b", "1c"}, 0, 0, 3, 1, "1a1b[1]"},
        {{"1a", "1b", "1c"}, 0, 1, 2, 1, "a1b[1]"},
        {{"1a"}, 0, 1, 0, 0, "a"},
        {{}, 0, 0, 0, 0, ""},
    };
    for (const auto& [queued, target, written, committed, dropped, left] : cases) {
        SCOPED_TRACE(testing::Message() << "expecting " << left);
        for (const char* text : queued) (text[0] == '!' ? answer(text) : publish(text));
        queue.consume(written);
        EXPECT_EQ(queue.shed(target, committed, *this), dropped);
        EXPECT_EQ(queue.bytes(), std::string_view(left).size());
        EXPECT_EQ(all(), left);
    }
}

TEST_F(SheddingTest, TellsAGapOnceUntilSomethingFollowsIt) {
    for (const char* text : {"1a", "1b"}) publish(text);
    queue.shed(0, 0, *this);
    for (const char* text : {"1c", "1d"}) publish(text);
    EXPECT_EQ(queue.shed(0, 0, *this), 2U);
    for (const char* text : {"1e", "1f", "1g"}) publish(text);
    EXPECT_EQ(queue.shed(5, 0, *this), 2U);
    EXPECT_EQ(queue.shed(5, 0, *this), 0U);
    publish("1h");
    publish("1i");
    EXPECT_EQ(all(), "[1]1g1h1i");
}

TEST_F(SheddingTest, DropsWhatANewerPublicationReplaces) {
    const struct {
        std::vector<const char*> queued;
        std::size_t written;
        std::size_t committed;
        std::uint32_t dropped;
        const char* left;
    } cases[] = {
        {{"1a", "2b", "1c"}, 0, 0, 2, "2b"}, {{"2b", "!", "1c"}, 0, 0, 1, "2b!"}, {{"1a"}, 0, 0, 1, ""},
        {{"1a", "1b"}, 1, 0, 1, "a"},        {{"1a", "1b"}, 0, 1, 1, "1a"},       {{"2a"}, 0, 0, 0, "2a"},
    };
    for (const auto& [queued, written, committed, dropped, left] : cases) {
        SCOPED_TRACE(testing::Message() << "expecting " << left);
        for (const char* text : queued) (text[0] == '!' ? answer(text) : publish(text));
        queue.consume(written);
        EXPECT_EQ(queue.drop(ChunkTag::publications(1), committed), dropped);
        EXPECT_EQ(queue.bytes(), std::string_view(left).size());
        EXPECT_EQ(all(), left);
    }
}

TEST(SendMemory, CountsSharedBytesOnceAndIsFreeAgainAtTheEnd) {
    const std::size_t before = SendMemory::bytes();
    {
        SendQueue one;
        SendQueue two;
        const SharedBytes big(std::string(1000, 'x'));
        const std::size_t alone = SendMemory::bytes() - before;
        EXPECT_GE(alone, 1000U);
        one.push(big);
        two.push(big);
        EXPECT_EQ(SendMemory::bytes() - before, alone);
        for (int i = 0; i < 100; ++i) two.push(big);
        const std::size_t entries = SendMemory::bytes() - before - alone;
        EXPECT_GE(entries, 100 * sizeof(SharedBytes));
        EXPECT_LE(entries, 200 * 2 * sizeof(SharedBytes));
        two.consume(two.bytes());
        EXPECT_EQ(SendMemory::bytes() - before, alone);
        for (int i = 0; i < 100; ++i) one.push(SharedBytes("x"));
        one.drop_unstarted();
        EXPECT_EQ(SendMemory::bytes() - before, alone);
        for (int i = 0; i < 100; ++i) one.push(SharedBytes("x"));  // left to the destructor
    }
    EXPECT_EQ(SendMemory::bytes(), before);
}

TEST_F(SendQueueTest, LosesAndInventsNothingWhateverIsPushedAndWrittenWhen) {
    for (std::uint32_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random(seed);
        SendQueue queue;
        std::string expected;  // what waits
        unsigned char fill = 0;
        std::size_t started = 0;          // bytes of the front chunk that were written
        std::vector<std::size_t> chunks;  // sizes, front first
        for (int i = 0; i < 2000; ++i) {
            const auto dice = random() % 100;
            if (dice < 55) {
                const std::string text(random() % 8, static_cast<char>('a' + fill++ % 26));
                queue.push(SharedBytes(text));
                expected += text;
                if (!text.empty()) chunks.push_back(text.size());
            } else if (dice < 99) {
                const std::size_t room = 1 + random() % 40;
                const auto scratch = std::make_unique<char[]>(room);
                const std::string_view next = queue.next(scratch.get(), room);
                ASSERT_EQ(next, expected.substr(0, next.size()));
                ASSERT_EQ(next.empty(), expected.empty());
                const std::size_t written = next.empty() ? 0 : random() % (next.size() + 1);
                queue.consume(written);
                expected.erase(0, written);
                started += written;
                while (!chunks.empty() && started >= chunks.front()) {
                    started -= chunks.front();
                    chunks.erase(chunks.begin());
                }
            } else {
                const std::size_t committed = random() % 3 * 5;
                queue.drop_unstarted(committed);
                std::size_t count = started == 0 ? 0 : 1;
                std::size_t kept = started == 0 ? 0 : chunks.front() - started;
                for (; kept < committed && count < chunks.size(); ++count) kept += chunks[count];
                expected.resize(kept);
                chunks.resize(count);
            }
            ASSERT_EQ(queue.bytes(), expected.size());
            ASSERT_EQ(queue.empty(), expected.empty());
        }
    }
}

}  // namespace
}  // namespace weft

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

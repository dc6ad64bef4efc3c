#include "move/fd_channel.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/move_fixture.hpp"

namespace weft {
namespace {

using Flow = FdChannel::Flow;
using Reading = FdChannel::Reading;
using ErrorKind = FdChannel::ErrorKind;
using test::inode_of;
using test::some_file;

constexpr std::size_t kAny = 1 << 20;  // messages

struct Got {
    std::string text;
    std::uint64_t inode = 0;  // of the file that came with it
    bool fd_lost = false;

    bool operator==(const Got&) const = default;
};

struct Inbox {
    std::vector<Got> messages;
    std::vector<int> flags;  // of the descriptors, F_GETFD

    tl::expected<Reading, FdChannel::Error> receive(FdChannel& channel, std::size_t max_messages = kAny) {
        return channel.receive(max_messages, [this](FdChannel::Message message) {
            if (message.fd) flags.push_back(::fcntl(message.fd.get(), F_GETFD));
            messages.push_back(
                {std::string(message.text), message.fd ? inode_of(message.fd.get()) : 0, message.fd_lost});
        });
    }
};

struct Pair {
    int ends[2] = {-1, -1};
    Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0); }
};

/// Two channels that face each other.
struct Channels {
    explicit Channels(std::size_t queue = FdChannel::kDefaultQueue, Pair pair = {})
        : left(UniqueFd(pair.ends[0]), queue), right(UniqueFd(pair.ends[1]), queue) {}
    FdChannel left, right;
};

/// A channel, and a peer that writes what it likes.
struct Bare {
    explicit Bare(Pair pair = {}) : channel(UniqueFd(pair.ends[0])), peer(pair.ends[1]) {}

    /// One sendmsg() of `bytes`, with all of `fds`.
    void write(std::string_view bytes, const std::vector<int>& fds = {}) const {
        iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (!fds.empty()) {
            header.msg_control = control;
            header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
            cmsghdr* const rights = CMSG_FIRSTHDR(&header);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
            std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
        }
        ASSERT_EQ(::sendmsg(peer.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

    FdChannel channel;
    UniqueFd peer;
};

std::string framed(std::string_view payload, bool with_fd = false) {
    const auto head = FdFrame::head(payload.size(), with_fd);
    return std::string(head.data(), head.size()).append(payload);
}

/// Sends until the socket takes nothing more, so that something is queued. How many messages that were.
std::size_t fill(FdChannel& channel, std::string_view message, int fd = -1) {
    for (std::size_t sent = 1;; ++sent) {
        const auto flow = channel.send(message, fd);
        EXPECT_TRUE(flow) << flow.error().text;
        if (!flow || *flow != Flow::drained) return sent;
    }
}

/// A message that is not like another one.
std::string pattern(std::size_t size, unsigned seed) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761U >> 13) + seed);
    return text;
}

class FdChannelTest : public test::CountsDescriptors {};

TEST_F(FdChannelTest, CarriesMessagesWithAndWithoutDescriptorsInOrder) {
    Channels channels;
    const UniqueFd a = some_file(), b = some_file();
    ASSERT_EQ(channels.left.send("first", a.get()).value(), Flow::drained);
    ASSERT_EQ(channels.left.send("second").value(), Flow::drained);
    ASSERT_EQ(channels.left.send("", b.get()).value(), Flow::drained);
    ASSERT_EQ(channels.left.send("").value(), Flow::drained);
    ASSERT_EQ(channels.left.send("again", a.get()).value(), Flow::drained);
    EXPECT_EQ(channels.left.written(), 5U);
    EXPECT_EQ(channels.left.pending(), 0U);

    Inbox inbox;
    EXPECT_EQ(inbox.receive(channels.right).value(), Reading::waiting);
    const std::vector<Got> expected = {
        {"first", inode_of(a.get())}, {"second"}, {"", inode_of(b.get())}, {""}, {"again", inode_of(a.get())}};
    EXPECT_EQ(inbox.messages, expected);
    EXPECT_EQ(inbox.flags, std::vector<int>(3, FD_CLOEXEC));
    EXPECT_GE(::fcntl(a.get(), F_GETFD), 0) << "the sender's own descriptor was closed";

    ASSERT_TRUE(channels.right.send("and back", b.get()));
    EXPECT_EQ(inbox.receive(channels.left).value(), Reading::waiting);
    EXPECT_EQ(inbox.messages.back(), (Got{"and back", inode_of(b.get())}));
}

TEST_F(FdChannelTest, HandsOverAtMostAsManyMessagesAsItIsAskedFor) {
    Channels channels;
    const UniqueFd file = some_file();
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(channels.left.send(std::to_string(i), i % 2 == 0 ? file.get() : -1));
    Inbox inbox;
    for (std::size_t i = 1; i <= 3; ++i) {
        EXPECT_EQ(inbox.receive(channels.right, 3).value(), Reading::more);
        EXPECT_EQ(inbox.messages.size(), 3 * i);
    }
    EXPECT_EQ(inbox.receive(channels.right, 3).value(), Reading::waiting);
    for (std::size_t i = 0; i < 10; ++i) {
        EXPECT_EQ(inbox.messages.at(i), (Got{std::to_string(i), i % 2 == 0 ? inode_of(file.get()) : 0}));
    }
}

TEST_F(FdChannelTest, UnderstandsWhatComesByteByByteTheDescriptorWithTheFirst) {
    Bare bare;
    const UniqueFd file = some_file();
    Inbox inbox;
    for (const bool with_fd : {true, false, true}) {
        const std::string frame = framed("byte by byte", with_fd);
        for (std::size_t i = 0; i < frame.size(); ++i) {
            bare.write({&frame[i], 1}, with_fd && i == 0 ? std::vector<int>{file.get()} : std::vector<int>{});
            ASSERT_EQ(inbox.receive(bare.channel).value(), Reading::waiting);
        }
    }
    const Got with{"byte by byte", inode_of(file.get())};
    EXPECT_EQ(inbox.messages, (std::vector<Got>{with, {"byte by byte"}, with}));
}

TEST_F(FdChannelTest, KeepsTheDescriptorsOfACutMessageAndOfTheNextOneApart) {
    Bare bare;
    const UniqueFd a = some_file(), b = some_file();
    Inbox inbox;
    const std::string first = framed("first", true);
    bare.write(first.substr(0, 7), {a.get()});
    ASSERT_EQ(inbox.receive(bare.channel).value(), Reading::waiting);
    // One read has the rest of the first, one without any, and the second up to where its control data ends it.
    bare.write(first.substr(7) + framed("between"));
    bare.write(framed("second", true), {b.get()});
    ASSERT_EQ(inbox.receive(bare.channel, 1).value(), Reading::more);
    ASSERT_EQ(inbox.receive(bare.channel).value(), Reading::waiting);
    EXPECT_EQ(inbox.messages,
              (std::vector<Got>{{"first", inode_of(a.get())}, {"between"}, {"second", inode_of(b.get())}}));
}

TEST_F(FdChannelTest, SaysWhatIsWrongWithWhatAPeerSendsAndThenOnlyThat) {
    const UniqueFd file = some_file();
    const int fd = file.get();
    const struct {
        std::string bytes;
        std::vector<int> fds;
        bool ends;
        const char* error;
    } cases[] = {
        {std::string("\x7f\xff\xff\xff\0", 5), {}, false, "the peer sent a message of 2147483647 bytes"},
        {std::string("\x7f\xff\xff\xff\0", 5), {fd}, false, "the peer sent a message of 2147483647 bytes"},
        {std::string("\0\0\0\1\7x", 6), {fd}, false, "the peer sent a message whose descriptor flag is 7"},
        {framed("x", true), {}, false, "the peer sent a message without the descriptor"},
        {framed("x", false), {fd}, false, "the peer sent a descriptor that no message announces"},
        {framed("x", true), {fd, fd}, false, "the peer sent several descriptors at once"},
        {framed("x", true), {fd, fd, fd, fd, fd}, false, "the peer sent several descriptors at once"},
        {framed("x", true).substr(0, 3), {fd}, true, "the peer went away in the middle of a message"},
        {framed("xyz", true).substr(0, 7), {fd}, true, "the peer went away in the middle of a message"},
    };
    for (const auto& [bytes, fds, ends, error] : cases) {
        Bare bare;
        const int before = test::open_descriptors();
        Inbox inbox;
        bare.write(framed("fine"));
        ASSERT_EQ(inbox.receive(bare.channel).value(), Reading::waiting);
        bare.write(bytes, fds);
        if (ends) ::shutdown(bare.peer.get(), SHUT_WR);
        for (int i = 0; i < 2; ++i) {
            const auto reading = inbox.receive(bare.channel);
            ASSERT_FALSE(reading) << error;
            EXPECT_EQ(reading.error().kind, ErrorKind::broken);
            EXPECT_EQ(reading.error().text.rfind(error, 0), 0U) << reading.error().text;
        }
        ASSERT_FALSE(inbox.messages.empty());
        EXPECT_EQ(inbox.messages.front().text, "fine");
        EXPECT_EQ(test::open_descriptors(), before) << error;
    }
}

TEST_F(FdChannelTest, BoundsTheDescriptorsThatAPeerSendsWithoutMessages) {
    Bare bare;
    const UniqueFd file = some_file();
    const int before = test::open_descriptors();
    const std::string frame = framed(std::string(100, 'x'), true);
    for (std::size_t i = 0; i < 20; ++i) bare.write({&frame[i], 1}, {file.get()});
    Inbox inbox;
    const auto reading = inbox.receive(bare.channel);
    ASSERT_FALSE(reading);
    EXPECT_EQ(test::open_descriptors(), before);
}

TEST_F(FdChannelTest, EndsWithTheLastMessageOfAPeerThatIsGone) {
    Channels channels;
    const UniqueFd file = some_file();
    ASSERT_TRUE(channels.left.send("last", file.get()));
    { const FdChannel gone = std::move(channels.left); }
    Inbox inbox;
    EXPECT_EQ(inbox.receive(channels.right, 1).value(), Reading::more);
    EXPECT_EQ(inbox.receive(channels.right).value(), Reading::ended);
    EXPECT_EQ(inbox.receive(channels.right).value(), Reading::ended);
    EXPECT_EQ(inbox.messages, (std::vector<Got>{{"last", inode_of(file.get())}}));
}

TEST_F(FdChannelTest, FailsToSendToAPeerThatIsGoneWithoutASignalAndStillReceives) {
    ASSERT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_DFL);
    Channels channels;
    const UniqueFd file = some_file();
    fill(channels.left, pattern(5000, 1), file.get());
    EXPECT_GT(channels.left.pending(), 0U);
    ASSERT_TRUE(channels.right.send("was here"));
    channels.right.refuse_more();
    for (int i = 0; i < 2; ++i) {
        const auto flushed = channels.left.flush();
        ASSERT_FALSE(flushed);
        EXPECT_EQ(flushed.error().kind, ErrorKind::broken);
        EXPECT_EQ(flushed.error().text, "the peer reads no more");
        const auto sent = channels.left.send("x", file.get());
        ASSERT_FALSE(sent);
        EXPECT_EQ(sent.error().kind, ErrorKind::broken);
    }
    EXPECT_EQ(channels.left.pending(), 0U);
    Inbox inbox;
    EXPECT_EQ(inbox.receive(channels.left).value(), Reading::waiting);
    EXPECT_EQ(inbox.messages, (std::vector<Got>{{"was here"}}));
}

TEST_F(FdChannelTest, TellsAPeerThatWentWithoutReadingFromOneThatEnded) {
    Channels channels;
    ASSERT_TRUE(channels.left.send("nobody reads this"));
    ASSERT_TRUE(channels.right.send("bye"));
    { const FdChannel gone = std::move(channels.right); }
    Inbox inbox;
    const auto reading = inbox.receive(channels.left);
    ASSERT_FALSE(reading);
    EXPECT_EQ(reading.error().text, "the peer went away before it had read everything");
    EXPECT_EQ(inbox.messages, (std::vector<Got>{{"bye"}}));
}

TEST_F(FdChannelTest, DuplicatesADescriptorThatHasToWaitSoThatItsSenderMayCloseIt) {
    Channels channels;
    std::size_t sent = fill(channels.left, pattern(2000, 7));
    UniqueFd file = some_file();
    const std::uint64_t inode = inode_of(file.get());
    const int before = test::open_descriptors();
    ASSERT_EQ(channels.left.send("queued", file.get()).value(), Flow::blocked);
    ++sent;
    EXPECT_EQ(test::open_descriptors(), before + 1);
    file.reset();
    EXPECT_LT(channels.left.written(), sent);

    Inbox inbox;
    while (inbox.messages.size() < sent) {
        ASSERT_EQ(inbox.receive(channels.right).value(), Reading::waiting);
        ASSERT_TRUE(channels.left.flush());
    }
    EXPECT_EQ(inbox.messages.back(), (Got{"queued", inode}));
    EXPECT_EQ(channels.left.written(), sent);
    EXPECT_EQ(channels.left.flush().value(), Flow::drained);
    EXPECT_EQ(test::open_descriptors(), before - 1);
}

TEST_F(FdChannelTest, BringsTheLargestMessagesThroughASocketThatIsFull) {
    Channels channels(0);
    const UniqueFd file = some_file();
    std::size_t sent = 0;
    Inbox inbox;
    std::size_t rounds = 0;
    while (inbox.messages.size() < 3) {
        if (sent < 3 && channels.left.room() == kMaxMessage) {
            const auto flow = channels.left.send(pattern(kMaxMessage, static_cast<unsigned>(sent)), file.get());
            ASSERT_TRUE(flow) << flow.error().text;
            EXPECT_EQ(*flow, Flow::blocked);
            ++sent;
            EXPECT_FALSE(channels.left.room() == kMaxMessage);
        }
        ASSERT_TRUE(inbox.receive(channels.right));
        ASSERT_TRUE(channels.left.flush());
        ASSERT_LT(++rounds, 100000U);
    }
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_TRUE(inbox.messages[i].text == pattern(kMaxMessage, i)) << i;
        EXPECT_EQ(inbox.messages[i].inode, inode_of(file.get()));
    }
}

TEST_F(FdChannelTest, RefusesWhatItHasNoRoomForAndGoesOn) {
    Channels channels(0);
    const auto too_large = channels.left.send(std::string(kMaxMessage + 1, 'x'));
    ASSERT_FALSE(too_large);
    EXPECT_EQ(too_large.error().kind, ErrorKind::too_large);
    EXPECT_EQ(channels.left.room(), kMaxMessage);

    const std::string message = pattern(1 << 20, 3);
    std::size_t sent = fill(channels.left, message);
    while (channels.left.room() >= message.size()) {
        ASSERT_TRUE(channels.left.send(message));
        ++sent;
    }
    const std::size_t room = channels.left.room().value(), pending = channels.left.pending();
    EXPECT_EQ(pending + FdFrame::kHead + room, FdFrame::kMaxSize);
    const UniqueFd file = some_file();
    const auto full = channels.left.send(std::string(room + 1, 'y'), file.get());
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().kind, ErrorKind::full);
    EXPECT_EQ(channels.left.pending(), pending);
    ASSERT_TRUE(channels.left.send(std::string(room, 'z'))) << "what room() said is not true";
    EXPECT_FALSE(channels.left.room());

    Inbox inbox;
    while (inbox.messages.size() < sent + 1) {
        ASSERT_TRUE(inbox.receive(channels.right));
        ASSERT_TRUE(channels.left.flush());
    }
    EXPECT_TRUE(inbox.messages.back().text == std::string(room, 'z'));
}

TEST_F(FdChannelTest, QueuesNoMoreThanItsBoundOfDescriptors) {
    Channels channels;
    const UniqueFd file = some_file();
    const int before = test::open_descriptors();
    std::size_t sent = fill(channels.left, "full", file.get());
    while (channels.left.room()) {
        ASSERT_TRUE(channels.left.send("more", file.get()));
        ++sent;
    }
    EXPECT_EQ(test::open_descriptors(), before + static_cast<int>(FdChannel::kMaxQueuedFds));
    const auto full = channels.left.send("even more");
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().kind, ErrorKind::full);
    Inbox inbox;
    while (inbox.messages.size() < sent) {
        ASSERT_TRUE(inbox.receive(channels.right));
        ASSERT_TRUE(channels.left.flush());
    }
    EXPECT_TRUE(channels.left.room());
}

TEST_F(FdChannelTest, ClosesWhatIsQueuedAndWhatHasArrivedWhenItEnds) {
    const int before = test::open_descriptors();
    {
        Channels channels;
        const UniqueFd file = some_file();
        fill(channels.left, "full", file.get());
        for (int i = 0; i < 10; ++i) ASSERT_TRUE(channels.left.send("more", file.get()));
        // One in the hand, one read and not handed over, the others still in the socket.
        Inbox inbox;
        ASSERT_TRUE(inbox.receive(channels.right, 1));
        Bare bare;
        bare.write(framed("cut", true).substr(0, 6), {file.get()});
        ASSERT_TRUE(inbox.receive(bare.channel));
    }
    EXPECT_EQ(test::open_descriptors(), before);
}

TEST_F(FdChannelTest, LeavesAMessageOutWhoseDescriptorIsNone) {
    Channels channels;
    for (const bool queued : {false, true}) {
        const std::size_t sent = queued ? fill(channels.left, "full") : 0;
        const auto pending = channels.left.pending();
        const auto bad = channels.left.send("with a closed one", 1 << 20);
        ASSERT_FALSE(bad);
        EXPECT_EQ(bad.error().kind, ErrorKind::descriptor);
        EXPECT_NE(bad.error().text.find("1048576"), std::string::npos) << bad.error().text;
        EXPECT_EQ(channels.left.pending(), pending);
        ASSERT_TRUE(channels.left.send("fine"));
        Inbox inbox;
        while (inbox.messages.size() < sent + 1) {
            ASSERT_TRUE(inbox.receive(channels.right));
            ASSERT_TRUE(channels.left.flush());
        }
        EXPECT_EQ(inbox.messages.back(), (Got{"fine"}));
    }
}

// In a process whose limit is reached by what is open already.
TEST_F(FdChannelTest, HandsOverAMessageThatHasLostItsDescriptorToTheLimitAndGoesOn) {
    EXPECT_EQ(test::in_a_child([] {
                  Channels channels;
                  const UniqueFd file = some_file();
                  for (const char* text : {"a", "b"}) {
                      if (!channels.left.send(text, file.get())) return 1;
                  }
                  if (!channels.left.send("c") || !channels.left.send("d", file.get())) return 2;

                  const UniqueFd lowest(::dup(file.get()));
                  const rlimit limit{static_cast<rlim_t>(lowest.get()) + 1, static_cast<rlim_t>(lowest.get()) + 1};
                  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
                  Inbox inbox;
                  if (inbox.receive(channels.right, 3).value() != Reading::more) return 4;
                  if (inbox.messages != std::vector<Got>{{"a", 0, true}, {"b", 0, true}, {"c"}}) return 5;
                  return 0;
              }),
              0);
    EXPECT_EQ(test::in_a_child([] {
                  Channels channels;
                  const UniqueFd file = some_file();
                  for (int i = 0; i < 3; ++i) {
                      if (!channels.left.send(std::to_string(i), file.get())) return 1;
                  }
                  // Each is read alone, so that there is room for the last one.
                  UniqueFd last(::dup(file.get()));
                  const rlimit limit{static_cast<rlim_t>(last.get()) + 1, static_cast<rlim_t>(last.get()) + 1};
                  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
                  Inbox inbox;
                  if (!inbox.receive(channels.right, 2)) return 3;
                  last.reset();
                  if (inbox.receive(channels.right).value() != Reading::waiting) return 4;
                  const std::vector<Got> expected = {{"0", 0, true}, {"1", 0, true}, {"2", inode_of(file.get())}};
                  if (inbox.messages != expected) return 5;

                  // And who has to queue one has to have room for it.
                  fill(channels.left, "full");
                  last.reset(::dup(file.get()));
                  const auto sent = channels.left.send("x", file.get());
                  if (sent || sent.error().kind != ErrorKind::descriptor) return 6;
                  return channels.left.send("without") ? 0 : 7;
              }),
              0);
}

TEST_F(FdChannelTest, WaitsWhileTooManyDescriptorsOfItsUserAreUnderWay) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user of whom nothing else is under way";
    EXPECT_EQ(test::in_a_child([] {
                  // A uid of its own, for the kernel counts by uid.
                  if (::setuid(test::kNobody - 7) != 0) return 1;
                  Channels channels;
                  const UniqueFd file = some_file();
                  const rlimit limit{64, 64};
                  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
                  std::size_t sent = 0;
                  Flow flow = Flow::drained;
                  for (; flow == Flow::drained && sent < 200; ++sent) {
                      const auto result = channels.left.send(std::to_string(sent), file.get());
                      if (!result) return 3;
                      flow = *result;
                  }
                  if (flow != Flow::again) return 4;
                  if (channels.left.flush().value() != Flow::again) return 5;
                  Inbox inbox;
                  if (!inbox.receive(channels.right)) return 6;
                  if (channels.left.flush().value() != Flow::drained) return 7;
                  if (!inbox.receive(channels.right)) return 8;
                  if (inbox.messages.size() != sent) return 9;
                  for (std::size_t i = 0; i < sent; ++i) {
                      if (inbox.messages[i] != Got{std::to_string(i), inode_of(file.get())}) return 10;
                  }
                  return 0;
              }),
              0);
}

TEST_F(FdChannelTest, ReadsWhatHadArrivedBeforeItRefusedMore) {
    Channels channels;
    const UniqueFd file = some_file();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(channels.left.send(std::to_string(i), file.get()));
    channels.right.refuse_more();
    const auto late = channels.left.send("late", file.get());
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, ErrorKind::broken);
    EXPECT_EQ(channels.left.written(), 5U);

    Inbox inbox;
    EXPECT_EQ(inbox.receive(channels.right).value(), Reading::ended);
    ASSERT_EQ(inbox.messages.size(), 5U);
    EXPECT_EQ(inbox.messages.back(), (Got{"4", inode_of(file.get())}));

    // The other direction goes on.
    ASSERT_TRUE(channels.right.send("still here", file.get()));
    EXPECT_EQ(inbox.receive(channels.left).value(), Reading::waiting);
    EXPECT_EQ(inbox.messages.back().text, "still here");
}

TEST_F(FdChannelTest, DropsAMessageThatWasOnlyPartlyThereWhenItRefusedMore) {
    Channels channels;
    const UniqueFd file = some_file();
    ASSERT_TRUE(channels.left.send("whole", file.get()));
    ASSERT_EQ(channels.left.send(pattern(kMaxMessage, 1), file.get()).value(), Flow::blocked);
    channels.right.refuse_more();
    EXPECT_FALSE(channels.left.flush());
    EXPECT_EQ(channels.left.written(), 1U);
    Inbox inbox;
    EXPECT_EQ(inbox.receive(channels.right).value(), Reading::ended);
    EXPECT_EQ(inbox.messages, (std::vector<Got>{{"whole", inode_of(file.get())}}));
}

// A sender on another processor is stopped at any point: both sides agree about the last message.
TEST_F(FdChannelTest, ReceivesExactlyWhatThePeerCountsAsWrittenWhenItRefusesMore) {
    const UniqueFd file = some_file();
    std::mt19937 random(20);
    for (int round = 0; round < 50; ++round) {
        Channels channels;
        const std::size_t largest = round % 2 == 0 ? 64 : 100'000;
        const unsigned seed = static_cast<unsigned>(random());
        std::thread sender([&] {
            std::mt19937 sizes(seed);
            for (;;) {
                const bool sends = channels.left.room() >= largest;
                const auto flow =
                    sends ? channels.left.send(std::string(sizes() % largest, 's'), file.get()) : channels.left.flush();
                if (!flow) return;
                if (*flow != Flow::drained) {
                    pollfd wait{channels.left.fd(), POLLOUT, 0};
                    ::poll(&wait, 1, 20'000);
                }
            }
        });
        Inbox inbox;
        for (std::size_t stop = random() % 300; inbox.messages.size() < stop;) {
            ASSERT_TRUE(inbox.receive(channels.right, 1 + random() % 20));
        }
        channels.right.refuse_more();
        auto reading = inbox.receive(channels.right, 50);
        while (reading && *reading == Reading::more) reading = inbox.receive(channels.right, 50);
        sender.join();
        ASSERT_TRUE(reading) << reading.error().text;
        ASSERT_EQ(*reading, Reading::ended);
        ASSERT_EQ(inbox.messages.size(), channels.left.written()) << "round " << round;
        for (const Got& got : inbox.messages) ASSERT_EQ(got.inode, inode_of(file.get()));
    }
}

}  // namespace
}  // namespace weft

#include "move/rendezvous.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "unit/move_fixture.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;
using ErrorKind = Rendezvous::ErrorKind;
using Reading = FdChannel::Reading;

class RendezvousTest : public test::CountsDescriptors {
protected:
    RendezvousTest() {
        char made[] = "/tmp/weft-rendezvous-XXXXXX";
        if (::mkdtemp(made) == nullptr) std::abort();
        folder_ = made;
        path_ = folder_ + "/pids";
    }
    ~RendezvousTest() override { fs::remove_all(folder_); }

    /// Is there, and ours.
    const std::string& prepared() {
        const auto done = Rendezvous::prepare(path_, ::geteuid(), ::getegid());
        EXPECT_TRUE(done) << done.error();
        return path_;
    }
    /// A socket by this name, that listens if `listens`, and is closed at once otherwise.
    UniqueFd socket(const std::string& name, bool listens) {
        UniqueFd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        (path_ + "/" + name).copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << name;
        if (!listens) return {};
        EXPECT_EQ(::listen(made.get(), 1), 0);
        return made;
    }
    void file(const std::string& name) { std::ofstream(path_ + "/" + name) << "text"; }
    std::set<std::string> names() {
        std::set<std::string> found;
        for (const auto& entry : fs::directory_iterator(path_)) found.insert(entry.path().filename());
        return found;
    }

    std::string folder_;
    std::string path_;
};

struct stat status_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
}

/// What is received until `channel` waits for its peer.
std::vector<std::string> received(FdChannel& channel) {
    std::vector<std::string> texts;
    const auto reading = channel.receive(1000, [&](FdChannel::Message message) { texts.emplace_back(message.text); });
    EXPECT_TRUE(reading) << reading.error().text;
    return texts;
}

TEST_F(RendezvousTest, MakesItsDirectoryForItsOwnerAlone) {
    const mode_t umask = ::umask(0777);
    const auto made = Rendezvous::prepare(path_, ::geteuid(), ::getegid());
    ::umask(umask);
    ASSERT_TRUE(made) << made.error();
    EXPECT_TRUE(S_ISDIR(status_of(path_).st_mode));
    EXPECT_EQ(status_of(path_).st_mode & 07777, 0700U);
    EXPECT_EQ(status_of(path_).st_uid, ::geteuid());
    EXPECT_TRUE(Rendezvous::prepare(path_, ::geteuid(), ::getegid())) << "a second time";
}

TEST_F(RendezvousTest, GivesARootsDirectoryToItsOwner) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
    for (const bool there_already : {false, true}) {
        fs::remove(path_);
        if (there_already) {
            ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
        }
        const auto made = Rendezvous::prepare(path_, test::kNobody, test::kNobody);
        ASSERT_TRUE(made) << made.error();
        EXPECT_EQ(status_of(path_).st_uid, test::kNobody);
        EXPECT_EQ(status_of(path_).st_gid, test::kNobody);
        EXPECT_EQ(status_of(path_).st_mode & 07777, 0700U);
    }
}

TEST_F(RendezvousTest, RefusesADirectoryOfAnotherUser) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
    ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
    ASSERT_EQ(::chown(path_.c_str(), 1, 1), 0);
    const auto refused = Rendezvous::prepare(path_, test::kNobody, test::kNobody);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "the directory \"" + path_ + "\" is owned by uid 1, expected 65534");
    EXPECT_EQ(status_of(path_).st_uid, 1U);
}

TEST_F(RendezvousTest, RefusesADirectoryThatOthersMayEnter) {
    for (const mode_t mode : {0755, 0710, 0701, 01700}) {
        ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
        ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
        const auto refused = Rendezvous::prepare(path_, ::geteuid(), ::getegid());
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().find("\"" + path_ + "\" has mode "), std::string::npos) << refused.error();
        EXPECT_NE(refused.error().find("expected 0700"), std::string::npos) << refused.error();
        EXPECT_EQ(status_of(path_).st_mode & 07777, mode);
        fs::remove(path_);
    }
}

TEST_F(RendezvousTest, FollowsNoSymbolicLinkInPlaceOfItsDirectory) {
    prepared();
    const std::string name = std::to_string(test::ended_process());
    socket(name, false);  // would be removed if it were looked at
    const std::string victim = folder_ + "/victim";
    fs::rename(path_, victim);
    fs::create_symlink(victim, path_);

    const std::string expected = "\"" + path_ + "\" is a symbolic link, expected a directory";
    const auto prepared = Rendezvous::prepare(path_, test::kNobody, test::kNobody);
    ASSERT_FALSE(prepared);
    EXPECT_EQ(prepared.error(), expected);
    EXPECT_EQ(Rendezvous::open(path_, ::getpid()).error(), expected);
    EXPECT_EQ(Rendezvous::others(path_, 1).error(), expected);
    EXPECT_EQ(status_of(victim).st_uid, ::geteuid());
    EXPECT_TRUE(fs::exists(victim + "/" + name));
}

TEST_F(RendezvousTest, SaysWhenTheDirectoryCannotBeThere) {
    std::ofstream(path_) << "text";
    EXPECT_EQ(Rendezvous::prepare(path_, ::geteuid(), ::getegid()).error(),
              "\"" + path_ + "\" is something else, expected a directory");
    const std::string orphan = folder_ + "/not/there";
    EXPECT_EQ(Rendezvous::prepare(orphan, ::geteuid(), ::getegid()).error(),
              "making the directory \"" + orphan + "\" failed: No such file or directory");
    EXPECT_EQ(Rendezvous::others(orphan, 1).error(),
              "opening the directory \"" + orphan + "\" failed: No such file or directory");
    EXPECT_FALSE(Rendezvous::open(orphan, ::getpid()));
}

TEST_F(RendezvousTest, RemovesSocketsOfEndedProcessesAndNothingElse) {
    prepared();
    const std::string ended = std::to_string(test::ended_process());
    const std::string ended_too = std::to_string(test::ended_process());
    const std::string living = std::to_string(::getpid());
    for (const std::string& name : {ended, ended + ".new", living, living + ".new", "0" + ended, ended + ".old",
                                    ended + " ", "-" + ended, std::string("99999999999999"), std::string("0")}) {
        socket(name, false);
    }
    file(ended_too);
    ASSERT_EQ(::mkdir((path_ + "/" + ended_too + ".new").c_str(), 0700), 0);
    std::set<std::string> expected = names();
    expected.erase(ended);
    expected.erase(ended + ".new");
    prepared();
    EXPECT_EQ(names(), expected);
}

TEST_F(RendezvousTest, ConnectsProcessesOfOneUser) {
    const std::string path = prepared();
    auto own = Rendezvous::open(path, ::getpid());
    ASSERT_TRUE(own) << own.error();
    EXPECT_EQ(names(), std::set<std::string>{std::to_string(::getpid())});
    EXPECT_EQ(::fcntl(own->fd(), F_GETFD), FD_CLOEXEC);
    EXPECT_FALSE(own->accept().value()) << "nobody has come";

    const pid_t parent = ::getpid();
    EXPECT_EQ(test::in_a_child([&] {
                  auto channel = Rendezvous::connect(path, parent);
                  return channel && channel->send(std::to_string(::getpid())) ? 0 : 1;
              }),
              0);
    auto peer = own->accept();
    ASSERT_TRUE(peer) << peer.error().text;
    ASSERT_TRUE(*peer);
    EXPECT_NE((*peer)->pid, parent);
    EXPECT_EQ(received((*peer)->channel), std::vector{std::to_string((*peer)->pid)});
    EXPECT_FALSE(own->accept().value());

    auto there = Rendezvous::connect(path, parent);
    ASSERT_TRUE(there) << there.error().text;
    auto here = own->accept();
    ASSERT_TRUE(here && *here);
    for (const int fd : {there->fd(), (*here)->channel.fd()}) {
        EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
        EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    }
    ASSERT_TRUE((*here)->channel.send("back"));
    EXPECT_EQ(received(*there), std::vector<std::string>{"back"});
}

TEST_F(RendezvousTest, ClosesTheConnectionOfAnotherUser) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    const std::string path = prepared();
    auto own = Rendezvous::open(path, ::getpid());
    ASSERT_TRUE(own) << own.error();
    // As if the directory had been left open.
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    ASSERT_EQ(::chmod((path + "/" + std::to_string(::getpid())).c_str(), 0777), 0);
    const pid_t parent = ::getpid();
    EXPECT_EQ(test::in_a_child([&] {
                  if (::setuid(test::kNobody) != 0) return 1;
                  // This side doesn't trust the other one either.
                  const auto channel = Rendezvous::connect(path, parent);
                  if (channel || channel.error().kind != ErrorKind::stranger) return 2;
                  return channel.error().text.find("has uid 0, expected 65534") != std::string::npos ? 0 : 3;
              }),
              0);
    ASSERT_TRUE(Rendezvous::connect(path, parent));
    const auto stranger = own->accept();
    ASSERT_FALSE(stranger);
    EXPECT_EQ(stranger.error().kind, ErrorKind::stranger);
    EXPECT_NE(stranger.error().text.find("has uid 65534, expected 0"), std::string::npos) << stranger.error().text;
    EXPECT_TRUE(own->accept().value()) << "the next one is a friend";
}

TEST_F(RendezvousTest, LetsNoOtherUserIntoItsDirectory) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    const std::string path = prepared();
    const auto own = Rendezvous::open(path, ::getpid());
    ASSERT_TRUE(own);
    const pid_t parent = ::getpid();
    EXPECT_EQ(test::in_a_child([&] {
                  if (::setuid(test::kNobody) != 0) return 1;
                  const auto channel = Rendezvous::connect(path, parent);
                  return !channel && channel.error().kind == ErrorKind::failed ? 0 : 2;
              }),
              0);
}

TEST_F(RendezvousTest, KnowsTheOthersByTheirSockets) {
    const std::string path = prepared();
    EXPECT_EQ(Rendezvous::others(path, 1).value(), std::vector<pid_t>{});
    for (const char* name : {"300", "20", "1", "44.new", "0055", "x"}) socket(name, false);
    file("66");
    EXPECT_EQ(Rendezvous::others(path, 20).value(), (std::vector<pid_t>{1, 300}));
    EXPECT_EQ(Rendezvous::others(path, 21).value(), (std::vector<pid_t>{1, 20, 300}));
}

TEST_F(RendezvousTest, RemovesTheSocketOfAnEndedProcessThatRefuses) {
    const std::string path = prepared();
    const pid_t ended = test::ended_process();
    socket(std::to_string(ended), false);
    socket(std::to_string(::getpid()), false);
    for (int i = 0; i < 2; ++i) {
        const auto channel = Rendezvous::connect(path, ended);
        ASSERT_FALSE(channel);
        EXPECT_EQ(channel.error().kind, ErrorKind::absent);
        const auto refused = Rendezvous::connect(path, ::getpid());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::absent);
        EXPECT_EQ(names(), std::set<std::string>{std::to_string(::getpid())}) << "its process may yet listen";
    }
}

TEST_F(RendezvousTest, ReplacesTheSocketsThatAFormerProcessOfThisPidLeft) {
    const std::string path = prepared();
    const std::string name = std::to_string(::getpid());
    socket(name, false);
    socket(name + ".new", false);
    auto own = Rendezvous::open(path, ::getpid());
    ASSERT_TRUE(own) << own.error();
    EXPECT_EQ(names(), std::set<std::string>{name});
    EXPECT_TRUE(Rendezvous::connect(path, ::getpid()));
    EXPECT_TRUE(own->accept().value());
}

TEST_F(RendezvousTest, ReplacesNoFileThatIsNoSocket) {
    const std::string path = prepared();
    const std::string name = std::to_string(::getpid());
    file(name);
    EXPECT_EQ(Rendezvous::open(path, ::getpid()).error(),
              "\"" + path + "/" + name + "\" is something else, expected a socket or nothing");
    fs::remove(path + "/" + name);
    file(name + ".new");
    EXPECT_FALSE(Rendezvous::open(path, ::getpid()));
    EXPECT_EQ(fs::file_size(path + "/" + name + ".new"), 4U);
}

TEST_F(RendezvousTest, RemovesItsFileWhenItEndsUnlessItIsAnothersByThen) {
    const std::string path = prepared();
    {
        auto own = Rendezvous::open(path, ::getpid());
        ASSERT_TRUE(own);
        const Rendezvous moved = std::move(*own);
        EXPECT_EQ(names().size(), 1U);
    }
    EXPECT_TRUE(names().empty());
    auto first = std::make_optional(Rendezvous::open(path, ::getpid()));
    ASSERT_TRUE(*first);
    auto second = Rendezvous::open(path, ::getpid());
    ASSERT_TRUE(second);
    first.reset();
    EXPECT_EQ(names().size(), 1U);
    ASSERT_TRUE(Rendezvous::connect(path, ::getpid()));
    EXPECT_TRUE(second->accept().value());
}

TEST_F(RendezvousTest, SaysThatAPathIsTooLongForASocket) {
    const std::string longest = folder_ + "/" + std::string(Rendezvous::kMaxPath - folder_.size() - 1, 'p');
    ASSERT_TRUE(Rendezvous::prepare(longest, ::geteuid(), ::getegid()));
    const auto own = Rendezvous::open(longest, 2147483647);
    ASSERT_TRUE(own) << own.error();
    EXPECT_TRUE(Rendezvous::connect(longest, 2147483647));

    const std::string longer = longest + "p";
    const std::string expected =
        "the path \"" + longer + "\" is too long for unix sockets in it: it has 93 bytes, expected at most 92";
    EXPECT_EQ(Rendezvous::prepare(longer, ::geteuid(), ::getegid()).error(), expected);
    EXPECT_FALSE(fs::exists(longer));
    EXPECT_EQ(Rendezvous::open(longer, 1).error(), expected);
    EXPECT_EQ(Rendezvous::connect(longer, 1).error().text, expected);
}

TEST_F(RendezvousTest, SaysThatTooManyWaitToBeAccepted) {
    const std::string path = prepared();
    const UniqueFd listening = socket("7", true);
    std::vector<FdChannel> waiting;
    for (int i = 0; i < 10; ++i) {
        auto channel = Rendezvous::connect(path, 7);
        if (!channel) {
            EXPECT_EQ(channel.error().kind, ErrorKind::busy) << channel.error().text;
            EXPECT_FALSE(waiting.empty());
            return;
        }
        waiting.push_back(std::move(*channel));
    }
    FAIL() << "a backlog of 1 took 10";
}

TEST_F(RendezvousTest, SaysThatItCannotAcceptWhenThereIsNoDescriptorLeft) {
    const std::string path = prepared();
    EXPECT_EQ(test::in_a_child([&] {
                  auto own = Rendezvous::open(path, ::getpid());
                  if (!own) return 1;
                  const auto channel = Rendezvous::connect(path, ::getpid());
                  UniqueFd last(::dup(own->fd()));
                  const rlimit limit{static_cast<rlim_t>(last.get()) + 1, static_cast<rlim_t>(last.get()) + 1};
                  if (!channel || ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
                  const auto none = own->accept();
                  if (none || none.error().kind != ErrorKind::failed) return 3;
                  if (Rendezvous::connect(path, ::getpid()).error().kind != ErrorKind::failed) return 4;
                  last.reset();
                  return own->accept().value() ? 0 : 5;  // nobody was lost
              }),
              0);
}

// A name is taken over again and again, and whoever uses it meets somebody.
TEST_F(RendezvousTest, IsNotFoundBeforeItListens) {
    const std::string path = prepared();
    const pid_t name = ::getpid();
    std::vector<Rendezvous> owners;
    owners.push_back(Rendezvous::open(path, name).value());
    std::atomic<bool> done = false;
    std::thread owner([&] {
        for (int i = 0; i < 500; ++i) owners.push_back(Rendezvous::open(path, name).value());
        done = true;
    });
    while (!done) {
        const auto channel = Rendezvous::connect(path, name);
        if (!channel) {
            EXPECT_EQ(channel.error().kind, ErrorKind::busy) << channel.error().text;
        }
    }
    owner.join();
}

}  // namespace
}  // namespace weft

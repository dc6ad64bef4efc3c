// What weftd does when it has no descriptor left, and that nobody takes them all; and of a peer that can't be dialed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "e2e/weftd_process.hpp"

namespace weft::e2e {
namespace {

std::string tcp(int port) {
    return "tcp://127.0.0.1:" + std::to_string(port);
}

std::string configure(const Folder& folder, const std::string& name, int port, const std::string& peers) {
    return folder.write(name + ".yaml", "node: " + name + "\nworkers: {listen: \"ipc://" + folder.path(name + ".sock") +
                                            "\"}\nmesh: {listen: \"" + tcp(port) + "\", peers: [" + peers +
                                            "], insecure: true}\n");
}

std::set<int> descriptors(pid_t pid) {
    std::set<int> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        found.insert(std::stoi(entry.path().filename()));
    }
    return found;
}

// UndefinedBehaviorSanitizer, which is built together with AddressSanitizer, looks at an object's memory through a
// pipe. Where it gets none it takes the object for another one.
#ifdef __SANITIZE_ADDRESS__
#define SKIP_WHERE_SANITIZERS_NEED_DESCRIPTORS() \
    GTEST_SKIP() << "UndefinedBehaviorSanitizer needs descriptors of its own"
#else
#define SKIP_WHERE_SANITIZERS_NEED_DESCRIPTORS() static_cast<void>(0)
#endif

/// Returns the limit that it had.
rlimit leave_one_descriptor(pid_t pid) {
    const std::set<int> used = descriptors(pid);
    int free = 0;
    while (used.contains(free)) ++free;
    rlimit before{};
    EXPECT_EQ(prlimit(pid, RLIMIT_NOFILE, nullptr, &before), 0);
    const rlimit tight{.rlim_cur = static_cast<rlim_t>(free) + 1, .rlim_max = before.rlim_max};
    EXPECT_EQ(prlimit(pid, RLIMIT_NOFILE, &tight, nullptr), 0);
    return before;
}

/// Connects within a moment, or goes on trying; the descriptor.
int connect_silently(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    (void)connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    pollfd item{fd, POLLOUT, 0};
    (void)poll(&item, 1, 20);
    return fd;
}

/// The whole answer; empty without one.
std::string get(int port, const std::string& path) {
    const int fd = connect_silently(port);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const int patience = static_cast<int>(std::chrono::milliseconds(kPatience).count());
    pollfd item{fd, POLLOUT, 0};
    std::string answer;
    if (poll(&item, 1, patience) == 1 && send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
        char buffer[4096];
        item.events = POLLIN;
        while (poll(&item, 1, patience) == 1) {
            const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
            if (n <= 0) break;
            answer.append(buffer, static_cast<std::size_t>(n));
        }
    }
    close(fd);
    return answer;
}

TEST(WeftdReload, RefusesAPeerThatZeroMqWouldNotDialAndKeepsTheOldOnes) {
    const Folder folder;
    const int port = free_port(), peer = free_port();
    WeftdProcess weftd({"-c", configure(folder, "a", port, "\"" + tcp(peer) + "\"")});
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();

    const std::string bad = configure(folder, "a", port, "\"tcp://_weft.example:7400\"");
    weftd.signal(SIGHUP);
    EXPECT_TRUE(weftd.wait_for({"event=reload_error", "a.yaml:3:", "has a host that begins with"})) << weftd.output();
    EXPECT_TRUE(weftd.wait_for({"event=reload_failed"})) << weftd.output();
    WeftdProcess check({"-c", bad, "--check"});
    EXPECT_EQ(check.wait(), 1);

    const WeftdProcess other({"-c", configure(folder, "b", peer, "")});
    EXPECT_TRUE(weftd.wait_for({"event=peer_up", "peer=b", "direction=out"})) << weftd.output();
}

TEST(WeftdDescriptors, ThatAreMissingForANewPeerAreWaitedFor) {
    SKIP_WHERE_SANITIZERS_NEED_DESCRIPTORS();
    const Folder folder;
    const int port = free_port(), peer = free_port();
    WeftdProcess other({"-c", configure(folder, "b", peer, "")});
    ASSERT_TRUE(other.wait_for({"event=ready"})) << other.output();
    WeftdProcess weftd({"-c", configure(folder, "a", port, "")});
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();

    const rlimit before = leave_one_descriptor(weftd.pid());  // the configuration is read with it
    configure(folder, "a", port, "\"" + tcp(peer) + "\"");
    weftd.signal(SIGHUP);
    EXPECT_TRUE(weftd.wait_for({"event=peer_unreachable", tcp(peer), "it can't be dialed: Too many open files"}))
        << weftd.output();
    EXPECT_TRUE(weftd.wait_for({"event=reloaded", "peers=1"})) << weftd.output();

    ASSERT_EQ(prlimit(weftd.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
    EXPECT_TRUE(weftd.wait_for({"event=peer_up", "peer=b", "direction=out"})) << weftd.output();
}

TEST(WeftdDescriptors, ThatAreMissingForTheNextKeyAreWaitedFor) {
    SKIP_WHERE_SANITIZERS_NEED_DESCRIPTORS();
    // The two pairs of ZeroMQ's manual (zmq_curve).
    const std::string a_public = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const std::string a_secret = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
    const std::string b_public = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    const std::string b_secret = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
    const Folder folder;
    const auto curve = [&](const std::string& name, int port, const std::string& peers, const std::string& secret,
                           const std::string& allowed) {
        const std::string key = folder.write(name + ".key", secret + "\n");
        std::filesystem::permissions(key, std::filesystem::perms::owner_read);
        const std::string allow = folder.write(name + ".allow", allowed + "\n");
        return folder.write(name + ".yaml", "node: " + name + "\nworkers: {listen: \"ipc://" +
                                                folder.path(name + ".sock") + "\"}\nmesh: {listen: \"" + tcp(port) +
                                                "\", peers: [" + peers + "], curve: {secret_key: " + key +
                                                ", allow: " + allow + "}}\n");
    };
    const int port = free_port(), peer = free_port();
    WeftdProcess other({"-c", curve("b", peer, "", b_secret, a_public)});
    ASSERT_TRUE(other.wait_for({"event=ready"})) << other.output();
    WeftdProcess weftd({"-c", curve("a", port, "\"" + tcp(peer) + "\"", a_secret, a_public)});
    ASSERT_TRUE(weftd.wait_for({"event=peer_unreachable", tcp(peer)})) << weftd.output();
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();

    const rlimit before = leave_one_descriptor(weftd.pid());  // for the connection, not for the sockets after it
    EXPECT_TRUE(weftd.wait_for({"event=peer_unreachable", tcp(peer), "it can't be dialed: Too many open files"}))
        << weftd.output();

    ASSERT_EQ(prlimit(weftd.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
    folder.write("a.allow", b_public + "\n");
    EXPECT_TRUE(weftd.wait_for({"event=peer_up", "peer=b", "direction=out"})) << weftd.output();
}

TEST(WeftdDescriptors, AreNotTakenBySilentHttpConnections) {
    constexpr std::size_t kAccepted = 8 + 100;  // StatusServer: its threads, and those that wait for one
    const Folder folder;
    const int port = free_port();
    const std::string file = folder.write("a.yaml", "node: a\nworkers: {listen: \"ipc://" + folder.path("a.sock") +
                                                        "\"}\nhttp: 127.0.0.1:" + std::to_string(port) + "\n");
    WeftdProcess weftd({"-c", file});
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();
    ASSERT_NE(get(port, "/healthz").find(" 200 "), std::string::npos);

    const std::size_t before = descriptors(weftd.pid()).size();
    std::size_t most = 0;
    std::vector<int> silent;
    for (std::size_t i = 0; i < kAccepted + 60; ++i) {
        silent.push_back(connect_silently(port));
        most = std::max(most, descriptors(weftd.pid()).size());
    }
    EXPECT_GT(most, before) << "they are accepted";
    EXPECT_LE(most, before + kAccepted + 10);
    for (const int fd : silent) close(fd);
    EXPECT_NE(get(port, "/healthz").find(" 200 "), std::string::npos) << "it goes on";
}

}  // namespace
}  // namespace weft::e2e

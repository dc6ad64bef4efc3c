// weftd as an operator and a worker meet it: processes, signals, files, sockets.
#include <arpa/inet.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>
#include <zmq.hpp>

#include "e2e/test_link.hpp"
#include "e2e/weftd_process.hpp"

namespace weft::e2e {
namespace {

/// A node's configuration on free ports; `peers` are ports.
struct TestNode {
    TestNode(const Folder& folder, std::string name, int port)
        : name(std::move(name)), port(port), workers("ipc://" + folder.path(this->name + ".sock")), folder(folder) {}

    std::string configure(const std::vector<int>& peers, const std::string& more = "") const {
        std::string list;
        for (const int peer : peers) list += (list.empty() ? "" : ", ") + mesh(peer);
        return folder.write(name + ".yaml", "node: " + name + "\nworkers: {listen: \"" + workers +
                                                "\"}\nmesh: {listen: \"" + mesh(port) + "\", peers: [" + list + "]}\n" +
                                                more);
    }

    std::unique_ptr<WeftdProcess> start(const std::vector<int>& peers, const std::string& more = "") const {
        auto process = std::make_unique<WeftdProcess>(std::vector<std::string>{"--config", configure(peers, more)});
        EXPECT_TRUE(process->wait_for({"event=ready", "node=" + name})) << process->output();
        return process;
    }

    static std::string mesh(int port) { return "tcp://127.0.0.1:" + std::to_string(port); }

    std::string name;
    int port;
    std::string workers;
    const Folder& folder;
};

std::unique_ptr<TestLink> connect(const std::string& endpoint, std::string_view name = "worker/1") {
    auto link = std::make_unique<TestLink>(endpoint, TestLink::worker(name));
    EXPECT_TRUE(link->until_up());
    return link;
}

void subscribe(TestLink& link, std::string_view channel) {
    link.subscribe(channel);
    EXPECT_TRUE(link.until([&] { return link.subscribed(channel); }));
}

/// Publishes and waits until weftd has it.
void publish(TestLink& link, std::string_view channel, std::string_view data) {
    static std::uint64_t request = 0;
    link.publish(channel, data, ++request);
    EXPECT_TRUE(link.until([&] {
        return link.find([](const v1::Frame& f) { return f.has_published() && f.published().request() == request; });
    }));
}

TEST(Weftd, ChecksAConfigurationAndSaysWhereItIsWrong) {
    const Folder folder;
    const std::string good = folder.write("good.yaml", "node: a\n");
    WeftdProcess ok({"--config", good, "--check"});
    EXPECT_EQ(ok.wait(), 0);
    EXPECT_EQ(ok.output(), "configuration " + good + " is ok\n");

    const std::string bad = folder.write("bad.yaml", "node: a\nlog: {levl: info}\nhooks: {rpc: {}}\n");
    WeftdProcess wrong({"-c", bad, "--check"});
    EXPECT_EQ(wrong.wait(), 1);
    EXPECT_EQ(wrong.output(),
              bad + ":2:7: log.levl: unknown key; did you mean \"log.level\"?\n" + bad +
                  ":3:14: hooks.rpc: has no url; expected one such as {url: \"http://127.0.0.1:9000/weft\"}\n");

    WeftdProcess start({"-c", bad});
    EXPECT_EQ(start.wait(), 1);
    EXPECT_EQ(start.output(), wrong.output());
}

TEST(Weftd, TakesNodeListenAndLogLevelFromTheCommandLine) {
    const Folder folder;
    const std::string file = folder.write("w.yaml", "node: a\nlog: {level: error}\n");
    WeftdProcess weftd(
        {"-c", file, "--node", "z", "--listen", "ipc://" + folder.path("z.sock"), "--log-level", "info"});
    EXPECT_TRUE(weftd.wait_for({"event=ready", "node=z", folder.path("z.sock")})) << weftd.output();

    WeftdProcess wrong({"--listen", "tcp://*:1", "--check"});
    EXPECT_EQ(wrong.wait(), 1);
    EXPECT_NE(wrong.output().find("--listen: \"tcp://*:1\" can be reached from outside"), std::string::npos);
    EXPECT_EQ(WeftdProcess({"--no-such-option"}).wait(), 2);
}

TEST(Weftd, OwnsItsSocketFileFromReadyUntilItsExit) {
    const Folder folder;
    const std::string path = folder.path("new/folder/w.sock");
    const std::string file =
        folder.write("w.yaml", "node: a\nworkers: {listen: \"ipc://" + path + "\", mode: \"0640\"}\n");
    WeftdProcess weftd({"-c", file});
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();
    struct stat found {};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 0777, 0640U);
    ASSERT_EQ(stat(folder.path("new").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0755U);

    weftd.signal(SIGTERM);
    EXPECT_EQ(weftd.wait(), 0);
    EXPECT_TRUE(weftd.wait_for({"event=draining", "signal=SIGTERM"}));
    EXPECT_TRUE(weftd.wait_for({"event=stopped"}));
    EXPECT_NE(stat(path.c_str(), &found), 0);
}

TEST(Weftd, SaysWhenItsSocketCannotBeGivenToAGroup) {
    const Folder folder;
    const std::string path = folder.path("w.sock");
    const std::string file =
        folder.write("w.yaml", "workers: {listen: \"ipc://" + path + "\", group: no-such-group}\n");
    WeftdProcess weftd({"-c", file});
    EXPECT_EQ(weftd.wait(), 1);
    EXPECT_TRUE(weftd.wait_for({"event=failed", "there is no group \\\"no-such-group\\\""})) << weftd.output();
    struct stat found {};
    EXPECT_NE(stat(path.c_str(), &found), 0) << "nothing stays behind";

    // The process's own group is one that it may give to.
    const group* own = getgrgid(getgid());
    ASSERT_NE(own, nullptr);
    folder.write("w.yaml", "workers: {listen: \"ipc://" + path + "\", group: " + own->gr_name + "}\n");
    WeftdProcess good({"-c", file});
    ASSERT_TRUE(good.wait_for({"event=ready"})) << good.output();
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_gid, getgid());
    EXPECT_EQ(found.st_mode & 0777, 0660U);
}

TEST(Weftd, TakesOverAStaleSocketButNotALivingOneNorAFile) {
    const Folder folder;
    const std::string path = folder.path("w.sock");
    const std::vector<std::string> arguments = {"--node", "a", "--listen", "ipc://" + path};
    {
        WeftdProcess first(arguments);
        ASSERT_TRUE(first.wait_for({"event=ready"}));
        WeftdProcess second(arguments);
        EXPECT_EQ(second.wait(), 1);
        EXPECT_TRUE(second.wait_for({"event=failed", "another process answers on this socket"})) << second.output();
        auto link = connect("ipc://" + path);  // the first is unharmed
        first.kill();
    }
    struct stat found {};
    ASSERT_EQ(stat(path.c_str(), &found), 0) << "a killed weftd leaves its socket behind";
    {
        WeftdProcess third(arguments);
        EXPECT_TRUE(third.wait_for({"event=ready"})) << third.output();
    }
    unlink(path.c_str());
    folder.write("w.sock", "precious");
    WeftdProcess fourth(arguments);
    EXPECT_EQ(fourth.wait(), 1);
    EXPECT_TRUE(fourth.wait_for({"event=failed", "is not a socket"})) << fourth.output();
}

TEST(Weftd, SaysThatItsPortIsTaken) {
    const Folder folder;
    const int port = free_port();
    const TestNode a(folder, "a", port);
    const TestNode b(folder, "b", port);
    auto first = a.start({});
    WeftdProcess second({"-c", b.configure({})});
    EXPECT_EQ(second.wait(), 1);
    EXPECT_TRUE(second.wait_for({"event=failed", "can't listen on " + TestNode::mesh(port), "Address already in use"}))
        << second.output();
}

TEST(Weftd, DeliversToEveryWorkerThatWantsTheChannel) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    auto one = connect(a.workers, "host/1");
    auto two = connect(a.workers, "host/2");
    EXPECT_EQ(one->welcome.node(), "a");
    subscribe(*two, "chat:x");
    publish(*one, "chat:x", R"({"n":1.0})");
    EXPECT_TRUE(two->until([&] { return two->received("chat:x", R"({"n":1.0})") == 1; }));
    EXPECT_EQ(one->received("chat:x", R"({"n":1.0})"), 0);
    EXPECT_TRUE(weftd->wait_for({"event=worker_up", "name=host/2"}));

    two.reset();  // as a killed worker
    EXPECT_TRUE(weftd->wait_for({"event=worker_down", "name=host/2", "why="})) << weftd->output();
}

TEST(Weftd, CarriesPublicationsAcrossTheMeshAndAfterAKillAgain) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    const TestNode b(folder, "b", free_port());
    auto weftd_a = a.start({b.port});
    auto weftd_b = b.start({a.port});
    for (WeftdProcess* process : {weftd_a.get(), weftd_b.get()}) {
        EXPECT_TRUE(process->wait_for({"event=peer_up", "direction=in"})) << process->output();
        EXPECT_TRUE(process->wait_for({"event=peer_up", "direction=out"})) << process->output();
    }
    auto on_a = connect(a.workers);
    auto on_b = connect(b.workers);
    subscribe(*on_b, "chat:x");
    publish(*on_a, "chat:x", "1");
    EXPECT_TRUE(on_b->until([&] { return on_b->received("chat:x", "1") == 1; }));

    const std::size_t seen = weftd_a->lines();
    weftd_b->kill();
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_down", "peer=b", "direction=out"}, seen)) << weftd_a->output();
    EXPECT_TRUE(on_b->until([&] { return !on_b->downs.empty(); }));
    publish(*on_a, "chat:x", "2");  // this node goes on alone

    weftd_b = b.start({a.port});
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "peer=b", "direction=out"}, seen)) << weftd_a->output();
    EXPECT_TRUE(weftd_b->wait_for({"event=peer_up", "peer=a", "direction=out"})) << weftd_b->output();
    on_b->frames.clear();
    EXPECT_TRUE(on_b->until_up());
    subscribe(*on_b, "chat:x");
    on_a = connect(a.workers);  // the one of before may have been silent for too long meanwhile
    publish(*on_a, "chat:x", "3");
    EXPECT_TRUE(on_b->until([&] { return on_b->received("chat:x", "3") == 1; }));
    publish(*on_b, "chat:x", "4");
    subscribe(*on_a, "chat:x");
    publish(*on_b, "chat:x", "5");
    EXPECT_TRUE(on_a->until([&] { return on_a->received("chat:x", "5") == 1; }));
}

TEST(Weftd, NoticesAPeerThatFallsSilentAndTakesItBack) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    const TestNode b(folder, "b", free_port());
    auto weftd_a = a.start({b.port});
    auto weftd_b = b.start({a.port});
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "direction=in"})) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "direction=out"})) << weftd_a->output();

    std::size_t seen = weftd_a->lines();
    weftd_b->signal(SIGSTOP);  // its connections stay, as through a partition
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_down", "direction=in", "silent for"}, seen)) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_down", "direction=out", "silent for"}, seen)) << weftd_a->output();
    seen = weftd_a->lines();
    weftd_b->signal(SIGCONT);
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "direction=in"}, seen)) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "direction=out"}, seen)) << weftd_a->output();
    auto on_a = connect(a.workers);
    auto on_b = connect(b.workers);
    subscribe(*on_b, "chat:x");
    publish(*on_a, "chat:x", "1");
    EXPECT_TRUE(on_b->until([&] { return on_b->received("chat:x", "1") == 1; }));
}

TEST(Weftd, AddsAndRemovesPeersOnSighupAndNamesWhatNeedsARestart) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    const TestNode b(folder, "b", free_port());
    auto weftd_a = a.start({});
    auto weftd_b = b.start({a.port});
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_one_way", "peer=b"})) << weftd_a->output();

    a.configure({b.port}, "limits: {queue: 9m}\n");
    weftd_a->signal(SIGHUP);
    EXPECT_TRUE(weftd_a->wait_for({"event=reload_needs_restart", "key=limits.queue"})) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=reloaded", "peers=1"})) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_up", "peer=b", "direction=out"})) << weftd_a->output();

    const std::size_t seen = weftd_a->lines();
    a.configure({}, "limits: {queue: [}\n");
    weftd_a->signal(SIGHUP);
    EXPECT_TRUE(weftd_a->wait_for({"event=reload_error", "a.yaml:4:"}, seen)) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=reload_failed"}, seen));
    auto on_a = connect(a.workers);
    auto on_b = connect(b.workers);
    subscribe(*on_a, "chat:x");
    publish(*on_b, "chat:x", "1");
    EXPECT_TRUE(on_a->until([&] { return on_a->received("chat:x", "1") == 1; })) << "the old peers stay";

    a.configure({});
    weftd_a->signal(SIGHUP);
    EXPECT_TRUE(weftd_a->wait_for({"event=peer_down", "peer=b", "direction=out"}, seen)) << weftd_a->output();
    EXPECT_TRUE(weftd_a->wait_for({"event=reloaded", "peers=0"}, seen));
    EXPECT_TRUE(weftd_b->wait_for({"event=peer_down", "peer=a", "direction=in", "the dialer said bye"}))
        << weftd_b->output();
}

TEST(Weftd, SaysByeToItsWorkersBeforeItExits) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    auto link = connect(a.workers);
    weftd->signal(SIGINT);
    EXPECT_TRUE(link->until([&] { return !link->downs.empty(); }));
    EXPECT_EQ(link->downs.at(0), "the listener said bye");
    EXPECT_EQ(weftd->wait(), 0);
}

void send_raw(int family, const sockaddr* address, socklen_t size, const std::string& bytes) {
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(fd, address, size), 0);
    (void)!write(fd, bytes.data(), bytes.size());
    shutdown(fd, SHUT_WR);
    char buffer[256];
    while (read(fd, buffer, sizeof buffer) > 0) {
    }
    close(fd);
}

TEST(Weftd, SurvivesGarbageOnEverySocket) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    auto link = connect(a.workers);
    const auto stay = [&] {  // or it would be silent for too long
        int turns = 0;
        link->until([&] { return turns++ > 0; });
    };

    // Bytes that are no ZeroMQ.
    sockaddr_in tcp{};
    tcp.sin_family = AF_INET;
    tcp.sin_port = htons(static_cast<std::uint16_t>(a.port));
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_un ipc{};
    ipc.sun_family = AF_UNIX;
    std::strcpy(ipc.sun_path, a.workers.c_str() + std::strlen("ipc://"));
    for (const std::string& bytes :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\xff'), std::string("\xff")}) {
        send_raw(AF_INET, reinterpret_cast<sockaddr*>(&tcp), sizeof tcp, bytes);
        send_raw(AF_UNIX, reinterpret_cast<sockaddr*>(&ipc), sizeof ipc, bytes);
        stay();
    }

    // ZeroMQ messages that are no batch: broken, of several parts, empty, well-formed nonsense.
    for (const std::string& endpoint : {a.workers, TestNode::mesh(a.port)}) {
        zmq::socket_t socket(context(), zmq::socket_type::dealer);
        socket.set(zmq::sockopt::linger, 1000);
        socket.connect(endpoint);
        socket.send(zmq::str_buffer("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
        socket.send(zmq::str_buffer("one"), zmq::send_flags::sndmore);
        socket.send(zmq::str_buffer("two"), zmq::send_flags::sndmore);
        socket.send(zmq::str_buffer("three"));
        socket.send(zmq::message_t(), zmq::send_flags::none);
        v1::Batch batch;
        batch.set_session(7);
        batch.set_first(9);
        batch.add_frames()->mutable_publish()->set_channel("chat:x");
        socket.send(zmq::buffer(batch.SerializeAsString()));
        zmq::message_t reply;
        socket.set(zmq::sockopt::rcvtimeo, 30'000);
        ASSERT_TRUE(socket.recv(reply)) << endpoint;
        v1::Batch answer;
        ASSERT_TRUE(answer.ParseFromArray(reply.data(), static_cast<int>(reply.size())));
        ASSERT_EQ(answer.frames_size(), 1);
        EXPECT_EQ(answer.frames(0).reset().reason(), v1::Reset::UNKNOWN_SESSION);
        stay();
    }
    EXPECT_TRUE(weftd->wait_for({"event=link_rejected", "role=worker", "malformed"})) << weftd->output();
    EXPECT_TRUE(weftd->wait_for({"event=link_rejected", "role=peer", "malformed"})) << weftd->output();

    subscribe(*link, "chat:x");
    publish(*link, "chat:x", "1");
    EXPECT_TRUE(link->until([&] { return link->received("chat:x", "1") == 1; }));
    EXPECT_TRUE(link->downs.empty()) << link->downs.at(0);
}

TEST(Weftd, BoundsTheLogLinesThatALinkCanCause) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    zmq::socket_t socket(context(), zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 1000);
    socket.set(zmq::sockopt::sndhwm, 0);
    socket.connect(TestNode::mesh(a.port));
    for (int i = 0; i < 20'000; ++i) socket.send(zmq::str_buffer("\xff\xff\xff"));
    v1::Batch batch;
    batch.set_session(7);
    batch.set_first(9);
    socket.send(zmq::buffer(batch.SerializeAsString()));
    zmq::message_t reply;
    socket.set(zmq::sockopt::rcvtimeo, 30'000);
    ASSERT_TRUE(socket.recv(reply)) << "the answer to what came behind the flood";
    auto link = connect(a.workers, "host/after");
    subscribe(*link, "chat:x");
    weftd->signal(SIGTERM);
    EXPECT_EQ(weftd->wait(), 0);
    EXPECT_LT(weftd->lines(), 1000U);
}

TEST(Weftd, RefusesAnotherLinkVersionWithALine) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    v1::Batch batch;
    batch.set_session(1);
    batch.set_first(1);
    *batch.add_frames()->mutable_hello() = TestLink::worker("host/old");
    batch.mutable_frames(0)->mutable_hello()->set_version(99);
    zmq::socket_t socket(context(), zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, 30'000);
    socket.connect(a.workers);
    socket.send(zmq::buffer(batch.SerializeAsString()));
    zmq::message_t reply;
    ASSERT_TRUE(socket.recv(reply));
    v1::Batch answer;
    ASSERT_TRUE(answer.ParseFromArray(reply.data(), static_cast<int>(reply.size())));
    ASSERT_TRUE(answer.frames(0).has_refused());
    EXPECT_EQ(answer.frames(0).refused().version(), kLinkVersion);
    EXPECT_TRUE(weftd->wait_for({"event=link_rejected", "host/old", "version 99"})) << weftd->output();
}

TEST(Weftd, ServesWorkersAndPeersOnTheirOwnSocketsOnly) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    TestLink worker(TestNode::mesh(a.port), TestLink::worker("host/lost"));
    EXPECT_TRUE(worker.until([&] { return !worker.refusals.empty(); }));
    EXPECT_EQ(worker.refusals.at(0), "this socket is for peers; nginx workers dial the address of workers.listen");
    TestLink peer(a.workers, TestLink::peer("lost"));
    EXPECT_TRUE(peer.until([&] { return !peer.refusals.empty(); }));
    EXPECT_EQ(peer.refusals.at(0), "this socket is for nginx workers; peers dial the address of mesh.listen");
    EXPECT_TRUE(weftd->wait_for({"event=link_rejected", "role=peer", "name=host/lost"})) << weftd->output();
}

TEST(Weftd, RefusesAPeerThatHasNoNameOrItsOwnName) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    TestLink twin(TestNode::mesh(a.port), TestLink::peer("a"));
    EXPECT_TRUE(twin.until([&] { return !twin.refusals.empty(); }));
    EXPECT_EQ(twin.refusals.at(0), "this node is named a too; expected a name for each node");
    TestLink nobody(TestNode::mesh(a.port), TestLink::peer("no\nname"));
    EXPECT_TRUE(nobody.until([&] { return !nobody.refusals.empty(); }));
    EXPECT_EQ(nobody.refusals.at(0), "Hello has no valid node name");
}

TEST(Weftd, LetsARestartedPeerTakeItsPlaceAndNotTheOldOneAgain) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    TestLink old(TestNode::mesh(a.port), TestLink::peer("b"));
    ASSERT_TRUE(old.until_up());
    TestLink restarted(TestNode::mesh(a.port), TestLink::peer("b"));
    ASSERT_TRUE(restarted.until_up());
    EXPECT_TRUE(weftd->wait_for({"event=peer_down", "peer=b", "another process of this name dialed"}));
    const auto let_restarted_turn = [&restarted] {
        bool turned = false;
        restarted.until([&turned] { return std::exchange(turned, true); });
    };
    EXPECT_TRUE(old.until([&] {
        let_restarted_turn();
        return !old.refusals.empty();
    }));
    EXPECT_EQ(old.downs.at(0), "the listener said bye");
    EXPECT_EQ(old.refusals.at(0), "a newer process is connected as node b; expected a name for each node");
    let_restarted_turn();
    EXPECT_TRUE(restarted.up());
    EXPECT_TRUE(restarted.downs.empty());
}

TEST(Weftd, DoesNotPeerWithItselfNorTwiceWithAnother) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    const TestNode b(folder, "b", free_port());
    auto weftd_b = b.start({});
    const std::string again = "tcp://localhost:";
    const std::string file = folder.write(
        "a.yaml", "node: a\nworkers: {listen: \"" + a.workers + "\"}\nmesh:\n  listen: " + TestNode::mesh(a.port) +
                      "\n  peers: [" + TestNode::mesh(b.port) + ", \"" + again + std::to_string(b.port) + "\", " +
                      TestNode::mesh(a.port) + ", \"" + again + std::to_string(a.port) + "\"]\n");
    WeftdProcess weftd({"-c", file});
    EXPECT_TRUE(weftd.wait_for({"event=peer_is_this_node", again + std::to_string(a.port)})) << weftd.output();
    EXPECT_TRUE(weftd.wait_for({"event=peer_refused", "peer=b", again + std::to_string(b.port), "each node once"}))
        << weftd.output();
    auto on_a = connect(a.workers);
    auto on_b = connect(b.workers);
    EXPECT_TRUE(on_a->until([&] {
        // Until the link that was kept is up (again), b's publications may not come.
        on_a->frames.clear();
        subscribe(*on_a, "chat:x");
        publish(*on_b, "chat:x", "1");
        const auto wait = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        on_a->until([&] { return on_a->received("chat:x", "1") > 0 || std::chrono::steady_clock::now() > wait; });
        return on_a->received("chat:x", "1") == 1;
    }));
}

TEST(Weftd, KeepsANameFromALinkWithinItsLogLine) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({});
    auto link = connect(a.workers, "x\n2026-01-01T00:00:00.000Z info event=ready\x1b[2J");
    EXPECT_TRUE(weftd->wait_for({"event=worker_up", R"(name="x\n2026-01-01T00:00:00.000Z info event=ready\x1b[2J")"}))
        << weftd->output();
}

TEST(Weftd, WritesItsLogAsJsonWhenAsked) {
    const Folder folder;
    const std::string file = folder.write(
        "w.yaml", "node: a\nlog: {format: json}\nworkers: {listen: \"ipc://" + folder.path("w.sock") + "\"}\n");
    WeftdProcess weftd({"-c", file});
    const auto line = weftd.wait_for({R"("event":"ready","node":"a")"});
    ASSERT_TRUE(line) << weftd.output();
    EXPECT_TRUE(line->starts_with(R"({"time":")")) << *line;
    EXPECT_TRUE(line->ends_with("}")) << *line;
}

TEST(Weftd, ResetsAWorkerThatDoesNotReadAndServesTheOthers) {
    const Folder folder;
    const TestNode a(folder, "a", free_port());
    auto weftd = a.start({}, "limits: {queue: 8m}\n");

    // A worker that subscribes, and from then on only says that it lives.
    zmq::socket_t lazy(context(), zmq::socket_type::dealer);
    lazy.set(zmq::sockopt::linger, 0);
    lazy.set(zmq::sockopt::rcvhwm, 1);
    lazy.connect(a.workers);
    v1::Batch batch;
    batch.set_session(1);
    batch.set_first(1);
    *batch.add_frames()->mutable_hello() = TestLink::worker("host/lazy");
    batch.mutable_frames(0)->mutable_hello()->set_version(kLinkVersion);
    batch.add_frames()->mutable_subscribe()->set_channel("chat:x");
    lazy.send(zmq::buffer(batch.SerializeAsString()));
    ASSERT_TRUE(weftd->wait_for({"event=worker_up", "name=host/lazy"})) << weftd->output();

    auto eager = connect(a.workers, "host/eager");
    subscribe(*eager, "chat:x");
    const std::string data = '"' + std::string(64 * 1024, 'x') + '"';
    batch.Clear();
    batch.set_session(1);
    batch.set_first(3);
    int sent = 0;
    const auto overflowed = [&] { return weftd->output().find("event=link_overflow") != std::string::npos; };
    for (; sent < 4000 && !overflowed(); ++sent) {
        eager->publish("chat:x", data);
        lazy.send(zmq::buffer(batch.SerializeAsString()), zmq::send_flags::dontwait);
        ASSERT_TRUE(eager->until([&] { return eager->frames.size() > static_cast<std::size_t>(sent); }));
    }
    EXPECT_TRUE(weftd->wait_for({"event=link_overflow", "name=host/lazy"})) << weftd->output();
    EXPECT_TRUE(weftd->wait_for({"event=worker_down", "name=host/lazy"})) << weftd->output();
    EXPECT_TRUE(eager->until([&] { return eager->received("chat:x", data) >= sent; }));
    EXPECT_EQ(eager->received("chat:x", data), sent);
    EXPECT_TRUE(eager->downs.empty());
}

TEST(Weftd, TellsSystemdWhenItIsReadyAndWhenItStops) {
    const Folder folder;
    const std::string path = folder.path("notify.sock");
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const auto next = [&] {
        char buffer[64] = {};
        const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        return std::string(buffer, n < 0 ? 0 : static_cast<std::size_t>(n));
    };

    WeftdProcess weftd({"--node", "a", "--listen", "ipc://" + folder.path("w.sock")},
                       {"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=200000"});
    EXPECT_EQ(next(), "READY=1");
    EXPECT_EQ(next(), "WATCHDOG=1");
    EXPECT_EQ(next(), "WATCHDOG=1");
    weftd.signal(SIGTERM);
    std::string last;
    while (last != "STOPPING=1" && !(last = next()).empty()) {
    }
    close(fd);
    EXPECT_EQ(last, "STOPPING=1");
    EXPECT_EQ(weftd.wait(), 0);
}

}  // namespace
}  // namespace weft::e2e

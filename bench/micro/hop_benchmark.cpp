// What there is to a single message besides what servers do: two hops of ZeroMQ, and two of a socket, 200 times a
// second like the case `latency`, so that everybody sleeps in between. Run on the core that servers have in run.sh.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kSize = 300;  // bytes
constexpr std::chrono::milliseconds kInterval{5};

void must(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
}

/// The median goes to counters["p50_us"].
template <class Exchange>
void pace(benchmark::State& state, Exchange exchange) {
    std::vector<double> times;
    auto next = Clock::now();
    for (auto _ : state) {
        next += kInterval;
        std::this_thread::sleep_until(next);
        const auto begin = Clock::now();
        exchange();
        const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
        state.SetIterationTime(seconds);
        times.push_back(seconds * 1e6);
    }
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    state.counters["p50_us"] = times[times.size() / 2];
}

/// Each end with a context, and so an I/O thread, of its own, as nginx and weftd have.
void hop_zeromq(benchmark::State& state) {
    const std::string address = "ipc://@weft-micro-" + std::to_string(::getpid());
    zmq::context_t here, there;
    zmq::socket_t router(there, zmq::socket_type::router), dealer(here, zmq::socket_type::dealer);
    router.set(zmq::sockopt::linger, 0);
    dealer.set(zmq::sockopt::linger, 0);
    router.bind(address);
    dealer.connect(address);
    std::thread answering([&router] {
        zmq::message_t from, text;
        do {
            must(router.recv(from).has_value() && router.recv(text).has_value(), "recv");
            const bool end = text.size() == 0;
            if (end) return;
            router.send(from, zmq::send_flags::sndmore);
            router.send(text, zmq::send_flags::none);
        } while (true);
    });
    zmq::message_t answer;
    pace(state, [&] {
        dealer.send(zmq::message_t(kSize), zmq::send_flags::none);
        must(dealer.recv(answer).has_value(), "recv");
    });
    dealer.send(zmq::message_t(), zmq::send_flags::none);
    answering.join();
}
BENCHMARK(hop_zeromq)->Iterations(600)->UseManualTime()->Unit(benchmark::kMicrosecond);

void stay_on(unsigned core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    // Where it may not, or there is but one, it is measured on what there is.
    (void)::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
}

/// The client on the load's core, the server on the servers'.
void hop_socket(benchmark::State& state) {
    const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    must(::bind(listening, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(listening, 1) == 0 &&
             ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size) == 0,
         "listen");
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(::connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0, "connect");
    const int server = ::accept(listening, nullptr, nullptr);
    const int one = 1;
    for (const int socket : {client, server}) ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    const auto take = [](int socket, std::array<char, kSize>& bytes) {
        pollfd waiting{socket, POLLIN, 0};
        (void)::poll(&waiting, 1, -1);
        return ::recv(socket, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(kSize);
    };
    std::thread answering([&] {
        stay_on(0);
        for (std::array<char, kSize> bytes{}; take(server, bytes);) {
            must(::send(server, bytes.data(), kSize, 0) == static_cast<ssize_t>(kSize), "send");
        }
    });
    std::array<char, kSize> bytes{};
    stay_on(1);
    pace(state, [&] {
        must(::send(client, bytes.data(), kSize, 0) == static_cast<ssize_t>(kSize) && take(client, bytes), "exchange");
    });
    ::shutdown(client, SHUT_WR);
    answering.join();
    for (const int socket : {client, server, listening}) ::close(socket);
}
BENCHMARK(hop_socket)->Iterations(600)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace

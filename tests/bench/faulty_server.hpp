// A WebSocket server with channels that does wrong what it is told to do wrong: what a load generator must notice.
#pragma once

#include <netinet/in.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/stamp.hpp"

namespace weft::bench {

/// Speaks the "ws" dialect (bench/dialect_ws.cpp) on a free loopback port, on a thread of its own.
class FaultyServer {
public:
    enum class Fault { none, drop, repeat, hold, mislabel, hang_up };

    /// What to do with publication `number` for the subscriber that came as number `subscriber`. Called on the server's
    /// thread. hold: it comes behind the next one. mislabel: it comes as another channel's.
    using Plan = std::function<Fault(std::size_t subscriber, std::uint32_t number)>;

    explicit FaultyServer(Plan plan);
    ~FaultyServer();
    FaultyServer(const FaultyServer&) = delete;
    FaultyServer& operator=(const FaultyServer&) = delete;

    [[nodiscard]] sockaddr_in address() const { return address_; }

private:
    struct Client {
        int fd = -1;
        bool upgraded = false;
        std::size_t subscriber = 0;
        std::string channel;  // empty: a publisher
        std::string in;
        std::string held;  // a frame that waits for the next
    };

    void run();
    void take(Client& client);
    void take_message(Client& client, std::string_view message);
    void deliver(Client& client, std::string payload);
    static void send_all(Client& client, std::string_view bytes);

    Plan plan_;
    sockaddr_in address_{};
    int listener_;
    std::atomic<bool> stopping_ = false;
    std::size_t subscribers_ = 0;
    std::vector<Client> clients_;
    std::thread thread_;
};

}  // namespace weft::bench

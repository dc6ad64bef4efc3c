// One shard of a running weftd: a thread of its own with a loop that carries between sockets and a broker. It serves
// the channels that hash to it (weft/shard.hpp) and shares nothing with the other shards but the log.
#pragma once

#include <poll.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "config.hpp"
#include "io/back_end_port.hpp"
#include "io/broker_gate.hpp"
#include "io/link_port.hpp"
#include "io/log.hpp"
#include "io/mesh.hpp"
#include "io/socket_file.hpp"
#include "io/wakeup.hpp"
#include "io/zap_handler.hpp"
#include "node_status.hpp"

namespace weft {

class Shard {
public:
    /// Listens and dials; start() serves. `config` is the shard's own part of the node's (shard_config), `incarnation`
    /// the process's. Throws StartError or std::system_error. `news` is rung when something happened that the node
    /// should look at; it must outlive this.
    /// `hooks` calls webhooks; null: there are none.
    Shard(Config config, unsigned index, std::uint64_t incarnation, HookClient* hooks, const Log& log, Wakeup& news);
    /// Stops the thread, if it runs.
    ~Shard();
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;

    void start();

    // From any thread.
    /// Serves no longer: says Bye on all links, sends what waits (at most kDrain), and ends.
    void stop();
    static constexpr std::chrono::milliseconds kDrain{1000};
    /// Whom it dials from now on.
    void set_peers(std::vector<std::string> endpoints);
    /// What it said last of itself, a tick ago at most.
    [[nodiscard]] NodeStatus status() const;
    [[nodiscard]] bool ended() const noexcept { return ended_; }

    /// Waits for the thread's end. Throws what ended it before its time.
    void join();

private:
    void run() noexcept;
    void serve();
    void take_orders(Instant now);
    [[nodiscard]] Instant::duration until_next_turn(Instant now, bool more) const;
    void watch(zmq::socket_ref socket);
    bool any_readable();
    bool receive(Instant now);
    void tick(Instant now);
    void show_status(Instant now);
    void warn_of_unacknowledged();
    void drain();

    Config config_;
    const unsigned index_;
    Log log_;
    Wakeup& news_;
    LinkTimings timings_;
    std::chrono::milliseconds tick_every_;
    BrokerGate gate_;
    std::unique_ptr<SocketFile> workers_file_;
    std::unique_ptr<SocketFile> mesh_file_;
    zmq::context_t context_;
    std::unique_ptr<BackEndPort> back_ends_;  // none without hooks, and services for the first shard
    std::unique_ptr<ZapHandler> keys_;        // none without mesh.curve
    std::unique_ptr<LinkPort> workers_;
    std::unique_ptr<LinkPort> incoming_;  // peers; none without mesh.listen
    Mesh mesh_;

    std::vector<pollfd> items_;
    Instant next_tick_{};
    Instant::duration retry_{};         // of links that could not send all; 0: none
    std::uint64_t unacknowledged_ = 0;  // as of the last tick
    bool warned_alone_ = false;
    bool told_filled_ = false;

    Wakeup orders_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> ended_{false};
    mutable std::mutex mutex_;
    std::optional<std::vector<std::string>> peers_;  // that it was told to dial; guarded by mutex_
    NodeStatus status_;                              // guarded by mutex_
    std::exception_ptr failure_;                     // written before ended_
    std::thread thread_;
};

}  // namespace weft

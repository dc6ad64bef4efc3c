// A running weftd: one thread, one loop, which carries between sockets and broker.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>
#include <zmq.hpp>

#include "config.hpp"
#include "io/back_end_port.hpp"
#include "io/broker_gate.hpp"
#include "io/link_port.hpp"
#include "io/log.hpp"
#include "io/mesh.hpp"
#include "io/service_notify.hpp"
#include "io/signals.hpp"
#include "io/socket_file.hpp"
#include "io/status_server.hpp"

namespace weft {

class Node {
public:
    /// Reads the configuration again, for SIGHUP; empty when weftd was started without a file.
    using Reload = std::function<tl::expected<Config, ConfigErrors>()>;

    /// Listens and dials. Throws StartError or std::system_error. `log` must outlive this.
    Node(Config config, Reload reload, Log& log);
    ~Node();

    /// Serves until SIGTERM or SIGINT, then says Bye on all links, sends what waits (at most kDrain) and returns.
    void run();
    static constexpr std::chrono::milliseconds kDrain{1000};

private:
    [[nodiscard]] Instant::duration until_next_turn(Instant now, bool more) const;
    void say_ready();
    void show_status(Instant now);
    void warn_of_unacknowledged();
    void watch(zmq::socket_ref socket);
    bool any_readable();
    bool receive(Instant now);
    void on_signals(Instant now);
    void on_reload(Instant now);
    void tick(Instant now);
    void drain();

    Signals signals_;  // first: before ZeroMQ's threads
    Config config_;
    Reload reload_;
    Log& log_;
    ServiceNotify service_;
    std::uint64_t incarnation_;
    LinkTimings timings_;
    std::chrono::milliseconds tick_every_;
    BrokerGate gate_;
    std::unique_ptr<SocketFile> workers_file_;
    std::unique_ptr<SocketFile> mesh_file_;
    zmq::context_t context_;
    std::unique_ptr<BackEndPort> back_ends_;  // none without hooks and services
    std::unique_ptr<HookClient> hooks_;       // none without hooks; ends before those that it answers
    std::unique_ptr<LinkPort> workers_;
    std::unique_ptr<LinkPort> incoming_;  // peers; none without mesh.listen
    Mesh mesh_;
    std::unique_ptr<StatusServer> status_;  // none without http

    std::vector<pollfd> items_;
    Instant next_tick_{};
    Instant::duration retry_{};  // of links that could not send all; 0: none
    int stop_signal_ = 0;
    bool ready_ = false;
    std::uint64_t unacknowledged_ = 0;  // as of the last tick
    bool warned_alone_ = false;
};

}  // namespace weft

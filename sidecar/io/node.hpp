// A running weftd: its shards, and what there is once for all of them: signals, reload, systemd, HTTP.
#pragma once

#include <functional>
#include <memory>
#include <tl/expected.hpp>
#include <vector>

#include "config.hpp"
#include "io/log.hpp"
#include "io/service_notify.hpp"
#include "io/shard.hpp"
#include "io/signals.hpp"
#include "io/status_server.hpp"
#include "io/wakeup.hpp"

namespace weft {

class Node {
public:
    /// Reads the configuration again, for SIGHUP; empty when weftd was started without a file.
    using Reload = std::function<tl::expected<Config, ConfigErrors>()>;

    /// Listens and dials. Throws StartError or std::system_error. `log` must outlive this.
    Node(Config config, Reload reload, Log& log);
    ~Node();

    /// Serves until SIGTERM or SIGINT, then has all shards say Bye, and returns. Throws what ended a shard.
    void run();

private:
    void forget_shards_of_before();
    [[nodiscard]] NodeStatus status() const;
    void look(Instant now);
    void say_ready(const NodeStatus& status);
    void on_signals();
    void on_reload();
    void drain();

    Signals signals_;  // first: before other threads
    Config config_;
    Reload reload_;
    Log& log_;
    ServiceNotify service_;
    Wakeup news_;                           // from shards
    std::unique_ptr<StatusServer> status_;  // none without http
    std::unique_ptr<HookClient> hooks_;     // none without hooks
    std::vector<std::unique_ptr<Shard>> shards_;
    int stop_signal_ = 0;
    bool ready_ = false;
};

}  // namespace weft

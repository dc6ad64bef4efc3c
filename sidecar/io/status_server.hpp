// weftd's HTTP: /healthz, /readyz and /metrics, for those who watch it.
#pragma once

#include <memory>
#include <string>

#include "node_status.hpp"

namespace weft {

/// Serves in threads of its own, from a copy of the node's status that show() replaces: whoever reads it slowly, or
/// often, doesn't hold the node up.
class StatusServer {
public:
    // A connection has a thread to itself, so those that say nothing are given up soon, and none is kept for a second
    // request.
    static constexpr int kThreads = 8;
    static constexpr int kWaiting = 100;  // connections, for a thread; more are not accepted before
    static constexpr int kTimeout = 1;    // seconds, of a read and of a write

    /// Listens at once, and says `first` until show(). Throws StartError.
    StatusServer(const std::string& host, int port, NodeStatus first);
    ~StatusServer();

    void show(NodeStatus status);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft

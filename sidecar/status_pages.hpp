// The texts of /healthz, /readyz and /metrics.
#pragma once

#include <string>

#include "node_status.hpp"

namespace weft {

struct StatusPage {
    bool good = false;  // 200, else 503
    std::string text;   // of application/json
};

/// Whether the process does its work: its event loop has turned within kMaxStall.
StatusPage health_page(const NodeStatus& status, Instant now);
/// Whether it should be given work: it is healthy, its history is filled, and it wasn't told to end. Peers that are
/// down don't make it unready, since local traffic goes on; the page names them.
StatusPage ready_page(const NodeStatus& status, Instant now);
inline constexpr std::chrono::milliseconds kMaxStall{5000};

/// Prometheus's text format, version 0.0.4. All names begin with "weftd_"; docs/operating.md lists them.
std::string metrics_page(const NodeStatus& status, Instant now);

}  // namespace weft

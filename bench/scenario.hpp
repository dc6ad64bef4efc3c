// What can be measured. Each scenario runs once, prints lines for people on standard error, and returns its figures.
#pragma once

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "json_writer.hpp"
#include "options.hpp"
#include "swarm.hpp"

namespace weft::bench {

/// The measurement has no result; the text says why.
struct ScenarioError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

JsonObject run_fanout(const Options& options, const Dialect& dialect);
JsonObject run_idle(const Options& options, const Dialect& dialect);
JsonObject run_handshakes(const Options& options, const Dialect& dialect);
/// Without a server: both ends of options.connections TLS sessions in this process, of which the servers' stay.
JsonObject run_openssl_memory(const Options& options);

// What scenarios share.

/// Opens `count` connections, at most options.concurrency at a time, connection i of `role` to channel_of(i).
/// Throws ScenarioError when one is lost or none gets ready for 10 s. `lost` is set by the listener's on_lost.
void open_all(Swarm& swarm, const Options& options, Role role, std::size_t count,
              const std::function<std::uint32_t(std::size_t)>& channel_of, const std::string& lost);

/// Publishes probes until each of `subscribers` has received one: a server may answer before it has subscribed.
/// Throws ScenarioError after 20 s. Returns once no probe has come for 200 ms.
void probe_until_all_hear(Swarm& swarm, std::span<Connection* const> subscribers,
                          std::span<Connection* const> publishers, std::uint32_t payload_size);

/// "publication" text of `size` bytes with a stamp in front.
class Payload {
public:
    explicit Payload(std::size_t size) : text_(size, 'x') {}
    std::string_view with(const Stamp& stamp) {
        write_stamp(text_.data(), stamp);
        return text_;
    }

private:
    std::string text_;
};

}  // namespace weft::bench

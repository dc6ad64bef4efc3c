// weftd.yaml: what it may say, what holds without it, and errors that an operator can act on.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "call/hook.hpp"

namespace weft {

enum class LogFormat { text, json };
enum class LogLevel { debug, info, warn, error };

struct Config {
    std::string node;     // unique in the mesh
    unsigned shards = 1;  // brokers with threads of their own that share the channels; see shards.hpp

    struct Workers {
        std::string listen = "ipc:///run/weft/weftd.sock";
        mode_t mode = 0660;  // of the socket's file
        std::string group;   // of the socket's file; empty: the process's own
        bool operator==(const Workers&) const = default;
    } workers;

    struct Mesh {
        std::string listen;                         // empty: a node of its own
        std::vector<std::string> peers;             // endpoints, those of names (dns+tcp) among them
        std::chrono::milliseconds resolve{10'000};  // between questions for the addresses of names
        std::chrono::milliseconds heartbeat{1000};
        std::chrono::milliseconds dead{3000};
        std::chrono::milliseconds sync{5000};             // between looks at what peers' histories hold
        std::chrono::milliseconds member_timeout{30000};  // of a peer that is down, until its members leave
        bool insecure = false;

        /// Files (peer_keys.hpp); empty: links are plain.
        struct Curve {
            std::string secret_key;  // this node's
            std::string allow;       // the public keys of the nodes
            bool operator==(const Curve&) const = default;
        } curve;
        bool operator==(const Mesh&) const = default;
    } mesh;

    struct History {
        std::uint64_t max_bytes = 256ULL << 20;  // of all channels together
        bool operator==(const History&) const = default;
    } history;

    /// Where /healthz, /readyz and /metrics are answered.
    struct Http {
        std::string host;  // an IP address
        int port = 0;      // 0: nowhere
        [[nodiscard]] std::string text() const;
        bool operator==(const Http&) const = default;
    } http;

    struct Publish {
        std::chrono::milliseconds ack_timeout{2000};   // for a peer to have what it has to have
        std::chrono::milliseconds id_window{600'000};  // a publication that is repeated is known for so long
        std::uint64_t id_bytes = 64ULL << 20;          // of all message ids that publishers gave together
        bool operator==(const Publish&) const = default;
    } publish;

    /// What a back end is asked by HTTP. See docs/hooks.md.
    struct Webhook {
        std::string url;  // empty: there is none
        std::chrono::milliseconds timeout{3000};
        std::uint64_t concurrency = 64;                 // calls under way
        std::uint64_t queue = 1000;                     // calls that wait for those
        std::uint64_t max_answer = 1ULL << 20;          // bytes
        std::vector<std::string> headers;               // "Name: value"
        std::string key;                                // of the signature; empty: none
        std::uint64_t breaker_failures = 10;            // in a row, until it isn't called any more; 0: never
        std::chrono::milliseconds breaker_pause{5000};  // ... for so long
        std::vector<std::string> patterns;              // of methods or channels that it is for; empty: all
        bool operator==(const Webhook&) const = default;
    };
    std::array<Webhook, kHooks> hooks;

    /// Where services connect. See docs/services.md.
    struct Services {
        std::string listen;  // empty: nowhere
        mode_t mode = 0660;  // of the socket's file
        std::string group;   // of the socket's file; empty: the process's own
        std::chrono::milliseconds timeout{10000};
        bool operator==(const Services&) const = default;
    } services;

    struct Log {
        LogFormat format = LogFormat::text;
        LogLevel level = LogLevel::info;
        bool operator==(const Log&) const = default;
    } log;

    struct Limits {
        std::uint64_t max_channels = 1'000'000;
        std::uint64_t queue = 64ULL << 20;  // bytes waiting for one link
        std::chrono::milliseconds channel_linger{60'000};
        bool operator==(const Limits&) const = default;
    } limits;

    bool operator==(const Config&) const = default;
};

struct ConfigError {
    std::string file;
    int line = 0;  // from 1; 0: the file as a whole
    int column = 0;
    std::string key;  // "mesh.peers"; empty where there is none
    std::string message;

    /// "weftd.yaml:3:9: mesh.dead: "3" is not a duration; expected …"
    [[nodiscard]] std::string text() const;
};
using ConfigErrors = std::vector<ConfigError>;  // never empty in an error

/// What holds without a file; `node` is the host's name.
Config default_config();

/// Reads YAML `text`; `file` is for the errors only. What it doesn't say stays as in `defaults`. Reports all errors of
/// the file, at most kMaxConfigErrors.
tl::expected<Config, ConfigErrors> parse_config(std::string_view text, std::string_view file, const Config& defaults);
inline constexpr std::size_t kMaxConfigErrors = 100;

/// Likewise from a file of at most kMaxConfigBytes.
tl::expected<Config, ConfigErrors> load_config(const std::string& path, const Config& defaults);
inline constexpr std::size_t kMaxConfigBytes = 1 << 20;

/// The rules of single values, for the command line: each sets its part of `config` or returns what was wrong and what
/// was expected (empty: it is set).
std::string set_node(Config& config, std::string_view text);
std::string set_workers_listen(Config& config, std::string_view text);
std::string set_http(Config& config, std::string_view text);
std::string set_log_level(Config& config, std::string_view text);

/// The keys in which `wanted` differs from `running` and which a running weftd can't change ("mesh.listen").
std::vector<std::string> keys_that_need_a_restart(const Config& running, const Config& wanted);

/// Whether `text` can be a node's name: 1 to 64 bytes of A–Z a–z 0–9 . _ -.
bool is_node_name(std::string_view text) noexcept;

}  // namespace weft

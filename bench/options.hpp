// The command line of weft-load.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dialect.hpp"

namespace weft::bench {

struct Server {
    std::string name;  // of the process: nginx, weftd
    pid_t pid;
};

struct Options {
    std::string scenario;  // fanout, latency, idle, handshakes, openssl-memory, free-port
    DialectOptions dialect;
    std::string label;  // who this is in the result; the dialect's name unless given
    sockaddr_in address{};
    bool tls = false;
    std::vector<Server> servers;

    std::uint32_t channels = 1;
    std::uint32_t subscribers_per_channel = 1000;
    std::uint32_t publishers = 1;  // connections; as many as channels where the dialect binds them
    double seconds = 5;
    double warmup = 1;
    double rate = 0;              // publications a second over all channels; 0: saturate
    std::uint32_t window = 128;   // publications in flight while saturating
    std::uint32_t payload = 128;  // bytes
    std::uint32_t reloads = 0;    // of the server called nginx, evenly over `seconds`

    std::uint32_t connections = 1000;  // idle
    std::uint32_t concurrency = 64;    // handshakes under way at once
    std::string certificate;           // openssl-memory: files in PEM
    std::string key;
    bool until_ready = false;  // handshakes: to the end of the subscription, not of the upgrade
};

/// Parses, or prints help or an error and exits the process.
Options parse_options(int argc, char** argv);

}  // namespace weft::bench

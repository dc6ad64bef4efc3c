// Where weftd listens and whom it dials: "tcp://10.0.0.1:7400", "ipc:///run/weft/weftd.sock".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

struct Endpoint {
    /// dns: tcp to all the addresses that a name has, for dialing (DiscoveredPeers); ZeroMQ doesn't know it.
    enum class Transport { tcp, ipc, dns };
    enum class Use { listen, dial };

    Transport transport = Transport::ipc;
    std::string text;        // as written, which is how ZeroMQ wants it
    std::string host;        // tcp, dns: without the brackets of an IPv6 address; "*" listens on all addresses
    std::uint16_t port = 0;  // tcp, dns
    std::string path;        // ipc: a file's absolute path, or "@name" (Linux's abstract names: no file)

    /// The error is a phrase that ends with what was expected.
    static tl::expected<Endpoint, std::string> parse(std::string_view text, Use use);

    /// Whether what goes over it stays on this host: ipc, 127.0.0.0/8, ::1 and the name localhost. Other names may lead
    /// anywhere.
    [[nodiscard]] bool local() const noexcept;

    [[nodiscard]] bool has_file() const noexcept { return transport == Transport::ipc && !path.starts_with('@'); }
    [[nodiscard]] bool ipv6() const noexcept { return host.find(':') != std::string::npos; }
};

}  // namespace weft

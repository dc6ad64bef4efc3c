#include "endpoint.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

namespace weft {
namespace {

constexpr std::size_t kMaxHost = 253;  // RFC 1035 §2.3.4, as text
constexpr std::size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

bool is_host_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxHost && std::ranges::all_of(text, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
    });
}

/// What zmq_connect asks of a host's first character. It isn't asked of a name that is resolved here (dns+tcp).
bool begins_as_zeromq_dials(std::string_view host) {
    const auto c = static_cast<unsigned char>(host.front());
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

tl::expected<Endpoint, std::string> parse_tcp(std::string_view text, std::string_view rest, Endpoint::Use use) {
    const auto fail = [&](std::string_view what) {
        return tl::unexpected("\"" + std::string(text) + "\" " + std::string(what));
    };
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos) return fail("has no port; expected tcp://HOST:PORT");

    Endpoint out;
    out.transport = Endpoint::Transport::tcp;
    out.text = text;
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) {
        return fail("has a bad port; expected 1 to 65535");
    }

    std::string_view host = rest.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        in6_addr address;
        if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1) {
            return fail("has a bad IPv6 address; expected tcp://[ADDRESS]:PORT");
        }
    } else if (host == "*") {
        if (use == Endpoint::Use::dial) return fail("can't be dialed; expected the peer's address, tcp://HOST:PORT");
    } else if (!is_host_name(host)) {
        return fail("has a bad host; expected tcp://HOST:PORT, an IPv6 address in brackets");
    } else if (use == Endpoint::Use::dial && text.starts_with("tcp://") && !begins_as_zeromq_dials(host)) {
        return fail("has a host that begins with \"" + std::string(1, host.front()) +
                    "\"; expected a letter or a digit first, tcp://HOST:PORT");
    }
    out.host = host;
    return out;
}

tl::expected<Endpoint, std::string> parse_dns(std::string_view text, std::string_view rest, Endpoint::Use use) {
    const auto fail = [&](std::string_view what) {
        return tl::unexpected("\"" + std::string(text) + "\" " + std::string(what));
    };
    if (use == Endpoint::Use::listen) return fail("can't be listened on; expected tcp://ADDRESS:PORT");
    auto endpoint = parse_tcp(text, rest, use);
    if (!endpoint) return endpoint;
    in_addr v4;
    if (endpoint->ipv6() || inet_pton(AF_INET, endpoint->host.c_str(), &v4) == 1) {
        return fail("is an address; expected dns+tcp://NAME:PORT, or tcp://ADDRESS:PORT");
    }
    endpoint->transport = Endpoint::Transport::dns;
    return endpoint;
}

tl::expected<Endpoint, std::string> parse_ipc(std::string_view text, std::string_view path) {
    const auto fail = [&](std::string_view what) {
        return tl::unexpected("\"" + std::string(text) + "\" " + std::string(what));
    };
    if (path.size() < 2 || (path[0] != '/' && path[0] != '@')) {
        return fail("has no absolute path; expected ipc:///PATH");
    }
    if (path.size() > kMaxPath) {
        return fail("is too long for a socket; expected a path of at most " + std::to_string(kMaxPath) + " bytes");
    }
    if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
        return fail("has a control character; expected ipc:///PATH");
    }
    Endpoint out;
    out.transport = Endpoint::Transport::ipc;
    out.text = text;
    out.path = path;
    return out;
}

}  // namespace

tl::expected<Endpoint, std::string> Endpoint::parse(std::string_view text, Use use) {
    if (text.starts_with("tcp://")) return parse_tcp(text, text.substr(6), use);
    if (text.starts_with("dns+tcp://")) return parse_dns(text, text.substr(10), use);
    if (text.starts_with("ipc://")) return parse_ipc(text, text.substr(6));
    return tl::unexpected("\"" + std::string(text) + "\" is not an endpoint; expected tcp://HOST:PORT or ipc:///PATH");
}

bool Endpoint::local() const noexcept {
    if (transport == Transport::ipc || host == "localhost") return true;
    in_addr v4;
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6;
    return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace weft

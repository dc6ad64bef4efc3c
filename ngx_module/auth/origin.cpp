#include "auth/origin.hpp"

#include <optional>

namespace weft {

namespace {

constexpr unsigned kNoPort = 0;

/// "scheme://host[:port]" in parts. `host` keeps the brackets of an IPv6 address.
struct Origin {
    std::string_view scheme, host;
    unsigned port = kNoPort;  // kNoPort: not given and the scheme has no default
};

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) noexcept {
    return lower(c) >= 'a' && lower(c) <= 'z';
}

bool equal(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

unsigned default_port(std::string_view scheme) noexcept {
    if (equal(scheme, "https") || equal(scheme, "wss")) return 443;
    if (equal(scheme, "http") || equal(scheme, "ws")) return 80;
    return kNoPort;
}

/// RFC 3986 §3.1
bool is_scheme(std::string_view text) noexcept {
    if (text.empty() || !is_alpha(text[0])) return false;
    for (char c : text) {
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
    }
    return true;
}

/// A name, an IPv4 address, or an IPv6 address in brackets, as far as its characters go: it is only compared.
bool is_host(std::string_view text) noexcept {
    if (text.starts_with('[')) {
        if (text.size() < 4 || !text.ends_with(']')) return false;
        for (char c : text.substr(1, text.size() - 2)) {
            const bool hex = is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
            if (!hex && c != ':' && c != '.') return false;
        }
        return true;
    }
    for (char c : text) {
        if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '.' && c != '_') return false;
    }
    return !text.empty();
}

/// 1 to 65535 without leading zeros; kNoPort for anything else.
unsigned read_port(std::string_view text) noexcept {
    if (text.empty() || text.size() > 5 || text[0] == '0') return kNoPort;
    unsigned port = 0;
    for (char c : text) {
        if (!is_digit(c)) return kNoPort;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535 ? port : kNoPort;
}

/// Splits "host[:port]" into `origin`, whose port stays as it is when none is given.
bool read_authority(std::string_view text, Origin& origin) noexcept {
    const std::size_t colon = text.rfind(':');
    // The colons within brackets belong to the address.
    if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
        origin.port = read_port(text.substr(colon + 1));
        if (origin.port == kNoPort) return false;
        text = text.substr(0, colon);
    }
    origin.host = text;
    return is_host(text);
}

std::optional<Origin> read_origin(std::string_view text) noexcept {
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) return std::nullopt;
    Origin origin;
    origin.scheme = text.substr(0, colon);
    if (!is_scheme(origin.scheme)) return std::nullopt;
    origin.port = default_port(origin.scheme);
    if (!read_authority(text.substr(colon + 3), origin)) return std::nullopt;
    return origin;
}

std::string normalised(const Origin& origin) {
    std::string text;
    for (char c : origin.scheme) text += lower(c);
    text += "://";
    for (char c : origin.host) text += lower(c);
    if (origin.port != default_port(origin.scheme)) text += ':' + std::to_string(origin.port);
    return text;
}

}  // namespace

tl::expected<OriginPolicy, std::string> OriginPolicy::parse(const std::vector<std::string_view>& entries) {
    OriginPolicy policy;
    if (entries.empty()) return tl::unexpected(std::string("no origin is given: expected scheme://host[:port] or *"));
    for (std::string_view entry : entries) {
        if (entry == "*") {
            policy.any_ = true;
            continue;
        }
        const std::optional<Origin> origin = read_origin(entry);
        if (!origin) {
            return tl::unexpected('"' + std::string(entry) +
                                  "\" is not an origin: expected scheme://host[:port] without a path, or *");
        }
        policy.entries_.push_back(normalised(*origin));
    }
    return policy;
}

OriginPolicy OriginPolicy::same_host() {
    OriginPolicy policy;
    policy.same_host_ = true;
    return policy;
}

bool OriginPolicy::allows(std::string_view origin, std::string_view host) const noexcept {
    if (origin.empty() || any_) return true;
    // "null", lists and everything else that isn't one plain origin end here (RFC 6454 §7.1).
    const std::optional<Origin> page = read_origin(origin);
    if (!page) return false;
    if (same_host_) {
        Origin here;
        here.port = default_port(page->scheme);  // a Host without port: the page's own default
        return read_authority(host, here) && equal(here.host, page->host) && here.port == page->port;
    }
    for (const std::string& entry : entries_) {
        const std::optional<Origin> allowed = read_origin(entry);
        if (allowed && equal(allowed->scheme, page->scheme) && equal(allowed->host, page->host) &&
            allowed->port == page->port) {
            return true;
        }
    }
    return false;
}

}  // namespace weft

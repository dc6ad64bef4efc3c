#include "auth/origin.hpp"

#include <exception>
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

std::string lowered(std::string_view text) {
    std::string lowered(text);
    for (char& c : lowered) c = lower(c);
    return lowered;
}

std::string normalised(const Origin& origin) {
    std::string text = lowered(origin.scheme) + "://" + lowered(origin.host);
    if (origin.port != default_port(origin.scheme)) text += ':' + std::to_string(origin.port);
    return text;
}

/// Whether `host` is a name below `suffix`, which has its dot in front: one label or more, none of them empty.
bool is_below(std::string_view host, std::string_view suffix) noexcept {
    if (host.size() <= suffix.size() || !equal(host.substr(host.size() - suffix.size()), suffix)) return false;
    const std::string_view labels = host.substr(0, host.size() - suffix.size());
    return labels.front() != '.' && labels.back() != '.' && labels.find("..") == std::string_view::npos;
}

constexpr const char* kForms =
    "expected scheme://host[:port] without a path, scheme://*.host, ~expression, same, null, none=on, none=off or *";

}  // namespace

tl::expected<OriginPolicy, std::string> OriginPolicy::parse(const std::vector<std::string_view>& entries,
                                                            const Compile& compile) {
    OriginPolicy policy;
    const auto refuse = [](std::string_view entry, std::string_view why) {
        return tl::unexpected('"' + std::string(entry) + "\" " + std::string(why));
    };
    if (entries.empty()) return tl::unexpected(std::string("no origin is given: ") + kForms);
    for (std::string_view entry : entries) {
        if (entry == "*") {
            policy.any_ = true;
        } else if (entry == "null") {
            policy.null_ = true;
        } else if (entry == "same") {
            policy.same_host_ = true;
        } else if (entry == "none=on" || entry == "none=off") {
            policy.none_ = entry == "none=on";
        } else if (entry.starts_with('~')) {
            const bool caseless = entry.starts_with("~*");
            const std::string_view text = entry.substr(caseless ? 2 : 1);
            if (text.empty()) return refuse(entry, "is an empty expression");
            if (!compile) return refuse(entry, "is an expression, and this program has none");
            auto expression = compile(text, caseless);
            if (!expression) return refuse(entry, "is no expression: " + expression.error());
            policy.expressions_.push_back(std::move(*expression));
        } else {
            std::string text(entry);
            if (text.starts_with("*.")) text.insert(0, "https://");
            const std::size_t star = text.find("://*.");
            const bool below = star != std::string::npos;
            if (below) text.erase(star + 3, 2);
            const std::optional<Origin> origin = read_origin(text);
            if (!origin) return refuse(entry, std::string("is not an origin: ") + kForms);
            const std::string_view host = origin->host;
            const bool name = host.find_first_not_of("0123456789.") != std::string_view::npos && host.front() != '[';
            if (below && (!name || host.front() == '.')) {
                return refuse(entry, std::string("has a star before what is no name: ") + kForms);
            }
            policy.entries_.push_back(
                {lowered(origin->scheme), (below ? "." : "") + lowered(host), origin->port, below});
        }
    }
    if (!policy.any_ && !policy.null_ && policy.expressions_.empty() && policy.entries_.empty()) {
        policy.same_host_ = true;
    }
    return policy;
}

OriginPolicy OriginPolicy::same_host() {
    OriginPolicy policy;
    policy.same_host_ = true;
    return policy;
}

bool OriginPolicy::allows(std::string_view origin, std::string_view host) const noexcept {
    if (origin.empty()) return none_;
    if (origin == "null") return null_;
    if (any_) return true;
    // Lists and everything else that isn't one plain origin end here (RFC 6454 §7.1).
    const std::optional<Origin> page = read_origin(origin);
    if (!page) return false;
    if (same_host_) {
        Origin here;
        here.port = default_port(page->scheme);  // a Host without port: the page's own default
        if (read_authority(host, here) && equal(here.host, page->host) && here.port == page->port) return true;
    }
    for (const Entry& entry : entries_) {
        if (!equal(entry.scheme, page->scheme) || entry.port != page->port) continue;
        if (entry.below ? is_below(page->host, entry.host) : equal(entry.host, page->host)) return true;
    }
    if (expressions_.empty()) return false;
    try {
        const std::string text = normalised(*page);
        for (const Expression& expression : expressions_) {
            if (expression(text)) return true;
        }
    } catch (const std::exception&) {  // memory is short
    }
    return false;
}

}  // namespace weft

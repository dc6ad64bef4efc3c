// Which web pages may open connections: the Origin header against a list (RFC 6454, RFC 6455 §10.2).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weft {

class OriginPolicy {
public:
    /// An entry is "scheme://host[:port]" without path, or "*" for any. The error is a sentence for nginx -t.
    static tl::expected<OriginPolicy, std::string> parse(const std::vector<std::string_view>& entries);

    /// The default: the page comes from the host that it connects to.
    static OriginPolicy same_host();

    /// `origin` is the header's value, empty when there was none: not a browser, always allowed. `host` is the Host
    /// header (used by same_host; compared without regard to case, default ports of http(s)/ws(s) left out).
    [[nodiscard]] bool allows(std::string_view origin, std::string_view host) const noexcept;

private:
    std::vector<std::string> entries_;  // normalised: lower case, default port left out
    bool any_ = false;
    bool same_host_ = false;
};

}  // namespace weft

// Which web pages may open connections: the Origin header against a list (RFC 6454, RFC 6455 §10.2).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weft {

class OriginPolicy {
public:
    /// Whether the whole of an origin, lower case and without its default port, is what an expression means.
    using Expression = std::function<bool(std::string_view origin)>;
    /// Makes an Expression of the text behind "~" (or "~*": `caseless`). The error is a sentence.
    using Compile = std::function<tl::expected<Expression, std::string>(std::string_view text, bool caseless)>;

    /// An entry is one of
    ///   scheme://host[:port]      this origin
    ///   scheme://*.host[:port]    every host below that one, at any depth, but not the host itself
    ///   *.host                    the same, short for https://*.host
    ///   ~expression, ~*expression origins that are matched as a whole
    ///   same                      pages from the host that they connect to; this is also what holds when no entry says
    ///                             anything of origins
    ///   null                      "null", which sandboxed frames and local files send; nothing else allows it
    ///   *                         every origin but null
    ///   none=on, none=off         whether clients without Origin, which are no browsers, may connect; on by default
    /// The error is a sentence for nginx -t.
    static tl::expected<OriginPolicy, std::string> parse(const std::vector<std::string_view>& entries,
                                                         const Compile& compile = {});

    /// The default: the page comes from the host that it connects to.
    static OriginPolicy same_host();

    /// `origin` is the header's value, empty when there was none. `host` is the Host header (for `same`; compared
    /// without regard to case, default ports of http(s)/ws(s) left out).
    [[nodiscard]] bool allows(std::string_view origin, std::string_view host) const noexcept;

private:
    struct Entry {
        std::string scheme;
        std::string host;  // of those below a host: with the dot in front
        unsigned port;
        bool below;
    };

    std::vector<Entry> entries_;  // in lower case
    std::vector<Expression> expressions_;
    bool any_ = false;
    bool same_host_ = false;
    bool null_ = false;
    bool none_ = true;
};

}  // namespace weft

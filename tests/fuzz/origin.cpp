// Origin and Host headers from strangers, and the entries of weft_origin.
#include "auth/origin.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "support/require.hpp"

namespace {

/// What an expression is shown is one plain origin in lower case, whatever the header said.
tl::expected<weft::OriginPolicy::Expression, std::string> compile(std::string_view, bool) {
    return [](std::string_view origin) {
        REQUIRE(origin.find("://") != std::string_view::npos);
        for (char c : origin) REQUIRE(c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z'));
        REQUIRE(origin.find(',') == std::string_view::npos && origin.find('@') == std::string_view::npos);
        return false;
    };
}

const weft::OriginPolicy& policy() {
    static const auto policy = weft::OriginPolicy::parse(
        {"https://app.example.com", "https://*.example.org", "http://[2001:db8::1]:8080", "~.", "none=off"}, compile);
    return *policy;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const std::size_t half = std::min(text.find('\n'), size);
    const std::string_view origin = text.substr(0, half);
    const std::string_view host = text.substr(std::min(half + 1, size));

    if (policy().allows(origin, host)) {
        // Whatever is allowed without "*" is one origin: no list, no path, no user in it.
        REQUIRE(origin.find_first_of(" ,@?#\\\t") == std::string_view::npos);
        REQUIRE(origin.find('/', origin.find("://") + 3) == std::string_view::npos);
    }
    if (weft::OriginPolicy::same_host().allows(origin, host) && !origin.empty()) {
        REQUIRE(origin.find("://") != std::string_view::npos && !host.empty());
    }
    std::string lists = std::string(origin) + ", https://app.example.com";
    REQUIRE(!policy().allows(lists, host));
    const auto entries = weft::OriginPolicy::parse({origin, host}, compile);
    if (entries) {
        (void)entries->allows("https://app.example.com", "app.example.com");
        REQUIRE(!entries->allows("https://a, https://b", "a") || origin == "*" || host == "*");
    } else {
        REQUIRE(!entries.error().empty());
    }
    return 0;
}

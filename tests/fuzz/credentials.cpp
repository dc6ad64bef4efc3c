// What else may say who somebody is: cookies, API keys and their files, grants as text; and what hides them from logs.
#include <algorithm>
#include <cstdint>
#include <string>

#include "auth/api_key.hpp"
#include "auth/cookie.hpp"
#include "auth/credential_mask.hpp"
#include "auth/grants_text.hpp"
#include "auth/ticket_mask.hpp"
#include "support/require.hpp"

namespace {

bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

void check_cookie(std::string_view header) {
    const auto value = weft::find_cookie(header, "weft");
    if (!value) return;
    REQUIRE(value->data() >= header.data() && value->data() + value->size() <= header.data() + header.size());
    REQUIRE(value->find(';') == std::string_view::npos);
    // Once it is hidden there is nothing left of it, in any cookie of that name; and the rest of the header stays.
    std::string masked(header);
    weft::mask_cookie(masked, "weft");
    REQUIRE(masked.size() == header.size());
    for (std::size_t i = 0; i < masked.size(); ++i) REQUIRE(masked[i] == header[i] || masked[i] == '*');
    for (std::string_view rest = masked; const auto hidden = weft::find_cookie(rest, "weft");) {
        REQUIRE(std::all_of(hidden->begin(), hidden->end(), [](char c) { return c == '*'; }));
        rest.remove_prefix(static_cast<std::size_t>(hidden->data() - rest.data()) + hidden->size());
        rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    }
}

void check_masks(std::string_view text) {
    constexpr std::string_view kSecret = "SECRET0123456789";
    using Mask = void (*)(std::span<char>) noexcept;
    const Mask masks[] = {weft::mask_ticket_argument, weft::mask_bearer, weft::mask_bearer_protocol,
                          weft::mask_bearer_pair};
    for (const Mask mask : masks) {
        std::string masked(text);
        mask(masked);
        REQUIRE(masked.size() == text.size());
        for (std::size_t i = 0; i < masked.size(); ++i) REQUIRE(masked[i] == text[i] || masked[i] == '*');
        std::string again = masked;
        mask(again);
        REQUIRE(again == masked);
    }
    REQUIRE(weft::without_ticket(text).size() <= text.size());
    if (text.find(kSecret) != std::string_view::npos) return;  // a fuzzer finds that, too
    // Wherever a list stands that a ticket comes in behind, it is hidden.
    std::string joined = std::string(text) + ",bearer." + std::string(kSecret);
    weft::mask_bearer_protocol(joined);
    if (text.find('#') == std::string_view::npos) {
        std::string uri = "/ws?" + std::string(text) + "&ticket=" + std::string(kSecret);
        if (text.find(' ') == std::string_view::npos) {
            weft::mask_ticket_argument(uri);
            REQUIRE(uri.find(kSecret) == std::string::npos);
        }
    }
    REQUIRE(joined.find(kSecret) == std::string::npos);
}

void check_keys(std::string_view file) {
    const auto keys = weft::ApiKeys::parse(file);
    if (!keys) {
        REQUIRE(!keys.error().empty());
        return;
    }
    REQUIRE(!keys->all().empty() && keys->all().size() <= weft::ApiKeys::kMaxKeys);
    for (const weft::ApiKeys::Key& key : keys->all()) {
        REQUIRE(weft::is_api_key_name(key.name));
        REQUIRE(key.grants.size() <= weft::Grants::kMaxPatterns);
    }
    REQUIRE(!keys->find(file));
}

void check_grants(std::string_view text) {
    const auto grants = weft::parse_grants(text);
    if (!grants) {
        REQUIRE(!grants.error().empty() && printable(grants.error()));
        return;
    }
    REQUIRE(text.size() <= weft::kMaxGrantsText && grants->size() <= weft::Grants::kMaxPatterns);
    for (weft::Action action : weft::kActions) {
        REQUIRE(!grants->denies(action, "chat:a", "u") || !grants->allows(action, "chat:a", "u"));
        REQUIRE(grants->size() > 0 || !grants->allows(action, "chat:a", "u"));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    check_cookie(text);
    check_cookie("weft=" + std::string(text) + "; weft=\"b\"");
    check_masks(text);
    check_keys(text);
    check_keys("k sha256:" + std::string(64, '0') + ' ' + std::string(text));
    check_grants(text);
    (void)weft::is_cookie_name(text);
    return 0;
}

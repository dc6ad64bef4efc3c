#include "broker/builtin_rpc.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "broker/json_string.hpp"

namespace weft {
namespace {

constexpr std::size_t kMaxMethodInMessage = 64;  // bytes of an unknown method that are repeated to the caller

// RFC 3339, UTC, milliseconds.
std::string rfc3339(WallTime wall) {
    const auto day = std::chrono::floor<std::chrono::days>(wall);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss time{wall - day};
    std::array<char, 64> text;
    const int size =
        std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                      static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                      static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
    return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

tl::expected<std::string, RpcError> call_builtin(std::string_view method, std::string_view params,
                                                 std::string_view node, WallTime wall) {
    if (method == "weft.echo") return std::string(params.empty() ? "null" : params);
    if (method == "weft.time") {
        std::string result =
            R"({"time":")" + rfc3339(wall) + R"(","unix_ms":)" + std::to_string(wall.time_since_epoch().count());
        add_json_string(result += R"(,"node":)", node);
        return result += '}';
    }
    // A cut in the middle of a UTF-8 character would make the answer unreadable as a protobuf string.
    std::size_t size = std::min(method.size(), kMaxMethodInMessage);
    while (size > 0 && size < method.size() && (static_cast<unsigned char>(method[size]) & 0xc0) == 0x80) --size;
    return tl::unexpected(RpcError{Code::method_not_found, "no method \"" + std::string(method.substr(0, size)) +
                                                               (size < method.size() ? "…" : "") + "\""});
}

}  // namespace weft

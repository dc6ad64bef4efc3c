// Strings and times as JSON text.
#include <algorithm>
#include <array>

#include "codec/json_codec.hpp"
#include "codec/plain_run.hpp"

namespace weft {

namespace {

constexpr std::array<char, 16> kHex = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

constexpr bool must_be_escaped(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

void append_escaped(std::string& out, char c) {
    switch (c) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: break;
    }
    const char text[] = {'\\', 'u', '0', '0', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    out.append(text, sizeof text);
}

/// Writes `value`, which has at most `digits` digits, with leading zeros.
void put_digits(char* out, unsigned value, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i) {
        out[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    const char* at = text.data();
    const char* const end = at + text.size();
    const char* const wide_end = text.size() < kWide ? at : end - (kWide - 1);
    bool ascii = true;
    while (at < end) {
        const char* run = at;
        at += plain_run(at, wide_end, ascii);
        while (at < end && !must_be_escaped(*at)) ++at;
        out.append(run, static_cast<std::size_t>(at - run));
        if (at < end) append_escaped(out, *at++);
    }
    out += '"';
}

void append_timestamp(std::string& out, WallTime time) {
    using namespace std::chrono;
    // RFC 3339 has four digits for the year; clocks of other hosts may be anything.
    constexpr WallTime kFirst = sys_days{year{0} / 1 / 1};
    constexpr WallTime kLast = sys_days{year{9999} / 12 / 31} + days{1} - milliseconds{1};
    time = std::clamp(time, kFirst, kLast);
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const auto in_day = static_cast<unsigned>((time - day).count());
    char text[] = "0000-00-00T00:00:00.000Z";
    put_digits(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put_digits(text + 5, static_cast<unsigned>(date.month()), 2);
    put_digits(text + 8, static_cast<unsigned>(date.day()), 2);
    put_digits(text + 11, in_day / 3'600'000, 2);
    put_digits(text + 14, in_day / 60'000 % 60, 2);
    put_digits(text + 17, in_day / 1000 % 60, 2);
    put_digits(text + 20, in_day % 1000, 3);
    out.append(text, sizeof text - 1);
}

}  // namespace weft

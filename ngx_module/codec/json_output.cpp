#include "codec/json_output.hpp"

#include <algorithm>
#include <array>

#include "codec/json_codec.hpp"
#include "codec/plain_run.hpp"

namespace weft {

namespace {

constexpr std::size_t kEscape = 6;  // bytes of the longest escape

/// Writes the byte `c` of a string, escaped if it must be; returns where the next one goes.
char* put_byte(char c, char* out) noexcept {
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto two = [&](char second) {
        out[0] = '\\';
        out[1] = second;
        return out + 2;
    };
    switch (c) {
        case '"': return two('"');
        case '\\': return two('\\');
        case '\b': return two('b');
        case '\f': return two('f');
        case '\n': return two('n');
        case '\r': return two('r');
        case '\t': return two('t');
        default: break;
    }
    if (!must_be_escaped(c)) {
        *out = c;
        return out + 1;
    }
    const char text[kEscape] = {'\\', 'u', '0', '0', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    std::memcpy(out, text, sizeof text);
    return out + sizeof text;
}

constexpr auto kDigitPairs = [] {
    std::array<char, 200> pairs{};
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[2 * i] = static_cast<char>('0' + i / 10);
        pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return pairs;
}();

/// Two digits; `value` is below 100.
void put_pair(char* out, unsigned value) noexcept {
    std::memcpy(out, kDigitPairs.data() + std::size_t{2} * value, 2);
}

}  // namespace

void JsonOutput::append_long(std::string_view text) {
    flush();
    if (text.size() > kBlock) {
        out_.append(text);
    } else {
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
}

void JsonOutput::long_name(std::string_view name, bool comma) {
    if (comma) *this += ',';
    *this += '"';
    *this += name;
    *this += Json("\":");
}

void JsonOutput::string(std::string_view text) {
    if (text.size() + 2 > left()) {
        *this += '"';
        return rest_of_string(text);
    }
    char* at = at_;
    *at++ = '"';
    const std::size_t plain = copy_plain(text.data(), text.size(), at);
    at += plain;
    if (plain < text.size()) {
        at_ = at;
        return rest_of_string(text.substr(plain));
    }
    *at = '"';
    at_ = at + 1;
}

void JsonOutput::rest_of_string(std::string_view text) {
    while (!text.empty()) {
        room(kWide + kEscape);
        const std::size_t size = std::min(text.size(), left() - kEscape);
        const std::size_t plain = copy_plain(text.data(), size, at_);
        at_ += plain;
        if (plain < size) at_ = put_byte(text[plain], at_);
        text.remove_prefix(std::min(plain + 1, size));
    }
    *this += '"';
}

void JsonOutput::time(WallTime time) {
    char* const at = room(kTimestamp + 2);
    *at = '"';
    write_timestamp(at + 1, time);
    at[1 + kTimestamp] = '"';
    at_ = at + kTimestamp + 2;
}

void write_timestamp(char* out, WallTime time) noexcept {
    using namespace std::chrono;
    // RFC 3339 has four digits for the year; clocks of other hosts may be anything.
    constexpr WallTime kFirst = sys_days{year{0} / 1 / 1};
    constexpr WallTime kLast = sys_days{year{9999} / 12 / 31} + days{1} - milliseconds{1};
    time = std::clamp(time, kFirst, kLast);
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const auto in_day = static_cast<unsigned>((time - day).count());
    const unsigned seconds = in_day / 1000;
    const unsigned minutes = seconds / 60;
    const auto years = static_cast<unsigned>(static_cast<int>(date.year()));
    constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
    static_assert(kForm.size() == kTimestamp);
    std::memcpy(out, kForm.data(), kForm.size());
    put_pair(out, years / 100);
    put_pair(out + 2, years % 100);
    put_pair(out + 5, static_cast<unsigned>(date.month()));
    put_pair(out + 8, static_cast<unsigned>(date.day()));
    put_pair(out + 11, minutes / 60);
    put_pair(out + 14, minutes % 60);
    put_pair(out + 17, seconds % 60);
    const unsigned milliseconds = in_day % 1000;
    out[20] = static_cast<char>('0' + milliseconds / 100);
    put_pair(out + 21, milliseconds % 100);
}

void append_json_string(std::string& out, std::string_view text) {
    JsonOutput json(out);
    json.string(text);
    json.flush();
}

void append_timestamp(std::string& out, WallTime time) {
    char text[kTimestamp];
    write_timestamp(text, time);
    out.append(text, sizeof text);
}

}  // namespace weft

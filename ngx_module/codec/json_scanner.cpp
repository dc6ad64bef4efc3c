#include "codec/json_scanner.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "codec/message.hpp"

namespace weft {

namespace {

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

/// The value of a hexadecimal digit, or 16.
constexpr unsigned hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return 16;
}

/// Four hexadecimal digits at `text`; above 0xffff when they aren't.
constexpr unsigned hex4(const char* text) noexcept {
    unsigned value = 0;
    for (int i = 0; i < 4; ++i) {
        unsigned digit = hex_value(text[i]);
        if (digit > 15) return 0x10000;
        value = value << 4 | digit;
    }
    return value;
}

constexpr bool is_high_surrogate(unsigned unit) noexcept {
    return unit >= 0xd800 && unit <= 0xdbff;
}
constexpr bool is_low_surrogate(unsigned unit) noexcept {
    return unit >= 0xdc00 && unit <= 0xdfff;
}

char* put_utf8(unsigned point, char* out) noexcept {
    if (point < 0x80) {
        *out++ = static_cast<char>(point);
    } else if (point < 0x800) {
        *out++ = static_cast<char>(0xc0 | point >> 6);
        *out++ = static_cast<char>(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = static_cast<char>(0xe0 | point >> 12);
        *out++ = static_cast<char>(0x80 | (point >> 6 & 0x3f));
        *out++ = static_cast<char>(0x80 | (point & 0x3f));
    } else {
        *out++ = static_cast<char>(0xf0 | point >> 18);
        *out++ = static_cast<char>(0x80 | (point >> 12 & 0x3f));
        *out++ = static_cast<char>(0x80 | (point >> 6 & 0x3f));
        *out++ = static_cast<char>(0x80 | (point & 0x3f));
    }
    return out;
}

}  // namespace

JsonScanner::JsonScanner(std::string_view text, std::size_t padding, unsigned max_depth) noexcept
    : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()), max_depth_(max_depth) {
    const std::size_t readable = text.size() + padding;
    const std::size_t wide = readable < kWide ? 0 : readable - kWide + 1;
    wide_end_ = begin_ + (wide < text.size() ? wide : text.size());
}

bool JsonScanner::fail(const char* why) noexcept {
    if (why_ == nullptr) why_ = why;
    return false;
}

std::string JsonScanner::fault() const {
    if (why_ == nullptr) return {};
    return "not valid JSON at byte " + std::to_string(at_ - begin_) + ": " + why_;
}

bool JsonScanner::open() noexcept {
    if (depth_ == max_depth_) return fail("nested too deep");
    ++depth_;
    ++at_;
    space();
    return true;
}

void JsonScanner::close() noexcept {
    --depth_;
    ++at_;
}

bool JsonScanner::long_string(JsonString& string) noexcept {
    const char* const start = at_ + 1;
    const char* at = start;  // at_ in a register: this loop is where the time goes
    bool escaped = false;
    bool ascii = true;
    for (;;) {
        at += plain_run(at, wide_end_, ascii);
        if (at >= end_) {
            at_ = end_;
            return fail("expected \" at the end of a string");
        }
        const char c = *at;
        if (c == '"') break;
        if (c == '\\') {
            escaped = true;
            at_ = at;
            if (!escape()) return false;
            at = at_;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            at_ = at;
            return fail("a control character in a string must be escaped");
        } else {  // where wide words can't be read, or don't tell exactly
            ascii &= static_cast<unsigned char>(c) < 0x80;
            ++at;
        }
    }
    string = {{start, static_cast<std::size_t>(at - start)}, escaped};
    at_ = at + 1;
    if (!ascii) ascii_ = false;
    return true;
}

bool JsonScanner::escape() noexcept {
    if (end_ - at_ < 2) return fail("an unfinished escape");
    switch (at_[1]) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't': at_ += 2; return true;
        case 'u': break;
        default: return fail("an unknown escape in a string");
    }
    if (end_ - at_ < 6) return fail("an unfinished escape");
    const unsigned unit = hex4(at_ + 2);
    if (unit > 0xffff) return fail("expected four hexadecimal digits after \\u");
    // RFC 8259 §8.2 leaves a lone surrogate to the receiver; strict ones (simdjson, serde_json) refuse the whole text,
    // so that one publisher could stop every such subscriber.
    if (is_low_surrogate(unit)) return fail("a surrogate without its other half");
    if (!is_high_surrogate(unit)) {
        at_ += 6;
        return true;
    }
    if (end_ - at_ < 12 || at_[6] != '\\' || at_[7] != 'u' || !is_low_surrogate(hex4(at_ + 8))) {
        return fail("a surrogate without its other half");
    }
    at_ += 12;
    return true;
}

bool JsonScanner::number() noexcept {
    const char* at = at_;
    const auto digits = [&] {
        const char* const first = at;
        while (at < end_ && is_digit(*at)) ++at;
        return at != first;
    };
    const auto fails = [&](const char* why) {
        at_ = at;
        return fail(why);
    };
    if (*at == '-') ++at;
    if (at < end_ && *at == '0') {
        ++at;
    } else if (!digits()) {
        return fails("expected a digit");
    }
    if (at < end_ && *at == '.') {
        ++at;
        if (!digits()) return fails("expected a digit after the decimal point");
    }
    if (at < end_ && (*at == 'e' || *at == 'E')) {
        ++at;
        if (at < end_ && (*at == '+' || *at == '-')) ++at;
        if (!digits()) return fails("expected a digit in the exponent");
    }
    at_ = at;
    return true;  // what follows must be space, a comma, a closing bracket or the end, which callers check
}

bool JsonScanner::word(std::string_view word) noexcept {
    if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) {
        return fail("expected a value");
    }
    at_ += word.size();
    return true;
}

bool JsonScanner::name(JsonString& name) noexcept {
    if (peek() != '"') return fail("expected a member's name in quotes");
    if (!string(name)) return false;
    space();
    if (peek() != ':') return fail("expected : after a member's name");
    ++at_;
    space();
    return true;
}

bool JsonScanner::value() noexcept {
    static_assert(kMaxDepth <= 64, "one bit a container");
    std::uint64_t objects = 0;  // the containers opened here, innermost lowest: 1 an object, 0 an array
    const unsigned outside = depth_;
    JsonString ignored;
    for (;;) {
        switch (peek()) {
            case '"':
                if (!string(ignored)) return false;
                break;
            case '{':
                if (!open()) return false;
                if (peek() == '}') {
                    close();
                    break;
                }
                objects = objects << 1 | 1;
                if (!name(ignored)) return false;
                continue;
            case '[':
                if (!open()) return false;
                if (peek() == ']') {
                    close();
                    break;
                }
                objects <<= 1;
                continue;
            case 't':
                if (!word("true")) return false;
                break;
            case 'f':
                if (!word("false")) return false;
                break;
            case 'n':
                if (!word("null")) return false;
                break;
            case '-':
            case '0':
            case '1':
            case '2':
            case '3':
            case '4':
            case '5':
            case '6':
            case '7':
            case '8':
            case '9':
                if (!number()) return false;
                break;
            default: return fail("expected a value");
        }
        for (;;) {  // behind a value: what comes next in its container
            if (depth_ == outside) return true;
            const bool in_object = (objects & 1) != 0;
            space();
            if (peek() == ',') {
                ++at_;
                space();
                if (in_object && !name(ignored)) return false;
                break;
            }
            if (peek() != (in_object ? '}' : ']')) return fail(in_object ? "expected , or }" : "expected , or ]");
            close();
            objects >>= 1;
        }
    }
}

bool JsonScanner::finish() noexcept {
    space();
    if (at_ < end_) return fail("something follows the value");
    // Bytes above 0x7f occur in strings only, so checking all of the text once is the same as each string.
    if (!ascii_ && !simdjson::validate_utf8(begin_, static_cast<std::size_t>(end_ - begin_))) {
        return fail("not UTF-8");
    }
    return true;
}

std::string_view unescape_json(std::string_view raw, char* out) noexcept {
    char* to = out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '\\') {
            *to++ = raw[i];
            continue;
        }
        switch (raw[++i]) {
            case 'b': *to++ = '\b'; break;
            case 'f': *to++ = '\f'; break;
            case 'n': *to++ = '\n'; break;
            case 'r': *to++ = '\r'; break;
            case 't': *to++ = '\t'; break;
            case 'u': {
                unsigned point = hex4(raw.data() + i + 1);
                i += 4;
                if (is_high_surrogate(point)) {
                    point = 0x10000 + ((point - 0xd800) << 10) + (hex4(raw.data() + i + 3) - 0xdc00);
                    i += 6;
                }
                to = put_utf8(point, to);
                break;
            }
            default: *to++ = raw[i]; break;
        }
    }
    return {out, static_cast<std::size_t>(to - out)};
}

std::string check_json(std::string_view text, unsigned max_depth) {
    JsonScanner scanner(text, 0, std::min<unsigned>(max_depth, kMaxDepth));
    scanner.space();
    if (scanner.value() && scanner.finish()) return {};
    return scanner.fault();
}

}  // namespace weft

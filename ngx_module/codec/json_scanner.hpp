// Walks over JSON text, checking every byte of it (RFC 8259), and reports where values begin and end.
//
// Our own rather than simdjson's because publications pass through byte for byte: simdjson's DOM checks everything but
// refuses numbers that don't fit 64 bits, which are JSON and whose digits we promise to keep; its on-demand parser
// keeps them but doesn't look inside what it skips. A message is walked once, whatever it holds. simdjson checks the
// UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "codec/message.hpp"
#include "codec/plain_run.hpp"

namespace weft {

/// A string as it stands in the text, without its quotes.
struct JsonString {
    std::string_view raw;
    bool escaped = false;  // whether `raw` holds a backslash
};

class JsonScanner {
public:
    /// As much padding as is of use.
    static constexpr std::size_t kReadBehind = 15;

    /// Starts at the beginning of `text`, of which `padding` bytes more may be read (never used) behind its end. At
    /// most `max_depth` containers may be open at once: kMaxDepth or less.
    JsonScanner(std::string_view text, std::size_t padding, unsigned max_depth = kMaxDepth) noexcept;

    // Each of the following returns false when the text is not JSON here; fault() then says why. They leave the cursor
    // behind what they read.

    /// One value of any kind, whatever its contents, at the cursor. Iterative: hostile nesting costs no stack.
    bool value() noexcept;
    /// A string; the cursor must stand at its opening quote.
    bool string(JsonString& string) noexcept {
        // Most strings are names, and shorter than a wide word.
        const char* const start = at_ + 1;
        if (start < wide_end_) {
            const std::size_t size = plain_block(start, ascii_);
            if (size < kWide && start + size < end_ && start[size] == '"') {
                string = {{start, size}, false};
                at_ = start + size + 1;
                return true;
            }
        }
        return long_string(string);
    }
    /// A member's name, the colon and the space around it, up to the value.
    bool name(JsonString& name) noexcept;
    /// The opening bracket at the cursor and the space behind it; false at more than `max_depth` open containers.
    bool open() noexcept;
    /// The closing bracket at the cursor.
    void close() noexcept;
    /// Nothing but space is left, and all of the text was UTF-8.
    bool finish() noexcept;

    void space() noexcept {
        while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
    }
    /// The byte at the cursor; NUL, which no JSON value begins with, at the end.
    [[nodiscard]] char peek() const noexcept { return at_ < end_ ? *at_ : '\0'; }
    void advance() noexcept { ++at_; }
    [[nodiscard]] const char* cursor() const noexcept { return at_; }
    /// Records why the text is not acceptable at the cursor; `why` is static. Returns false, for `return fail(…)`.
    bool fail(const char* why) noexcept;

    /// A sentence such as "not valid JSON at byte 7: expected a value".
    [[nodiscard]] std::string fault() const;

private:
    bool long_string(JsonString& string) noexcept;
    bool escape() noexcept;
    bool number() noexcept;
    bool word(std::string_view word) noexcept;

    const char* begin_;
    const char* at_;
    const char* end_;
    const char* wide_end_;  // wide words may be read from below here
    unsigned max_depth_;
    unsigned depth_ = 0;  // containers open around the cursor
    bool ascii_ = true;   // no byte above 0x7f seen so far (may be false without need, never true)
    const char* why_ = nullptr;
};

/// Whether `text` is one JSON value and nothing else, nested at most `max_depth` (and kMaxDepth) deep; empty when it
/// is, else a sentence that says what is wrong.
std::string check_json(std::string_view text, unsigned max_depth = kMaxDepth);

/// What `raw` (the inside of a string that JsonScanner accepted) says, as UTF-8. Writes to `out`, which has room for
/// raw.size() bytes (the result is never longer), and returns what was written.
std::string_view unescape_json(std::string_view raw, char* out) noexcept;

}  // namespace weft

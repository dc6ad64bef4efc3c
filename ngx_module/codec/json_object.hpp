// Objects of JSON text: picking members out of one, writing one.
#pragma once

#include <array>
#include <charconv>
#include <span>
#include <string>
#include <string_view>

#include "codec/json_codec.hpp"
#include "codec/json_scanner.hpp"
#include "codec/text_rules.hpp"

namespace weft {

/// A member's value as it stands in the message; nothing there: not given.
struct JsonValue {
    std::string_view text;  // of a string: without its quotes
    bool is_string = false;
    bool escaped = false;  // a string with backslashes in it
    [[nodiscard]] bool given() const noexcept { return text.data() != nullptr; }
    [[nodiscard]] bool is_object() const noexcept { return given() && !is_string && text.starts_with('{'); }
    /// As JSON: a string with its quotes.
    [[nodiscard]] Json json() const noexcept { return is_string ? Json(text.data() - 1, text.size() + 2) : text; }
};

/// Reads the value at the cursor into `value`, unless it was given before: the first one counts.
bool read_value(JsonScanner& scanner, JsonValue& value) noexcept;

/// Reads the object at the cursor: members called `names[i]` go to `values[i]`, all are checked. Names with escapes in
/// them are nobody's.
bool pick_members(JsonScanner& scanner, std::span<const std::string_view> names, std::span<JsonValue> values) noexcept;

/// Writes the members of one object, with the commas between them.
class ObjectWriter {
public:
    explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
    void end() { out_ += '}'; }

    /// `name` goes out as it is.
    std::string& member(std::string_view name) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += '"';
        out_ += name;
        out_ += "\":";
        return out_;
    }

    void string(std::string_view name, std::string_view value) { append_json_string(member(name), value); }
    void json(std::string_view name, Json value) { member(name) += value; }
    void boolean(std::string_view name, bool value) { member(name) += value ? "true" : "false"; }
    void time(std::string_view name, WallTime value) {
        member(name) += '"';
        append_timestamp(out_, value);
        out_ += '"';
    }

    template <typename Number>
    void number(std::string_view name, Number value) {
        char text[32];
        const auto end = std::to_chars(text, text + sizeof text, value).ptr;
        member(name).append(text, static_cast<std::size_t>(end - text));
    }

    void code(Code code) {
        number("code", static_cast<std::uint16_t>(code));
        string("reason", reason(code));
    }

    void client_id(std::uint64_t id) { hex("client_id", id); }
    void hex(std::string_view name, std::uint64_t id) { string(name, HexId(id).view()); }

private:
    std::string& out_;
    bool first_ = true;
};

}  // namespace weft

// Objects of JSON text: picking members out of one, writing one.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "codec/json_output.hpp"
#include "codec/json_scanner.hpp"

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
    explicit ObjectWriter(JsonOutput& out) : out_(out) { out_ += '{'; }
    void end() { out_ += '}'; }

    /// Up to the value, which the caller writes.
    [[gnu::always_inline]] JsonOutput& member(std::string_view name) {
        out_.name(name, !first_);
        first_ = false;
        return out_;
    }

    [[gnu::always_inline]] void string(std::string_view name, std::string_view value) { member(name).string(value); }
    [[gnu::always_inline]] void json(std::string_view name, Json value) { member(name) += value; }
    [[gnu::always_inline]] void boolean(std::string_view name, bool value) {
        member(name) += value ? Json("true") : Json("false");
    }
    [[gnu::always_inline]] void time(std::string_view name, WallTime value) { member(name).time(value); }
    [[gnu::always_inline]] void hex(std::string_view name, std::uint64_t id) { member(name).hex(id); }

    template <typename Number>
    [[gnu::always_inline]] void number(std::string_view name, Number value) {
        member(name).number(value);
    }

    void code(Code code) {
        number("code", static_cast<std::uint16_t>(code));
        string("reason", reason(code));
    }

    void client_id(std::uint64_t id) { hex("client_id", id); }

private:
    JsonOutput& out_;
    bool first_ = true;
};

/// Appends the object whose members `write` writes, given an ObjectWriter.
template <class Write>
void append_object(std::string& out, Write write) {
    JsonOutput json(out);
    ObjectWriter object(json);
    write(object);
    object.end();
    json.flush();
}

}  // namespace weft

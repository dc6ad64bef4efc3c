#include "codec/json_object.hpp"

#include <algorithm>

namespace weft {

bool read_value(JsonScanner& scanner, JsonValue& value) noexcept {
    if (value.given()) return scanner.value();
    if (scanner.peek() == '"') {
        JsonString string;
        if (!scanner.string(string)) return false;
        value = {string.raw, true, string.escaped};
        return true;
    }
    const char* const start = scanner.cursor();
    if (!scanner.value()) return false;
    value = {{start, static_cast<std::size_t>(scanner.cursor() - start)}};
    return true;
}

bool pick_members(JsonScanner& scanner, std::span<const std::string_view> names, std::span<JsonValue> values) noexcept {
    if (!scanner.open()) return false;
    if (scanner.peek() != '}') {
        for (;;) {
            JsonString name;
            if (!scanner.name(name)) return false;
            const auto wanted = name.escaped ? names.end() : std::ranges::find(names, name.raw);
            const bool read = wanted == names.end()
                                  ? scanner.value()
                                  : read_value(scanner, values[static_cast<std::size_t>(wanted - names.begin())]);
            if (!read) return false;
            scanner.space();
            if (scanner.peek() == '}') break;
            if (scanner.peek() != ',') return scanner.fail("expected , or }");
            scanner.advance();
            scanner.space();
        }
    }
    scanner.close();
    return true;
}

}  // namespace weft

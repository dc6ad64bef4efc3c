// The result on standard output: one flat JSON object, members in the order in which they were added.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weft::bench {

class JsonObject {
public:
    /// `value` must need no escaping beyond quotes and backslashes.
    JsonObject& add(std::string_view name, std::string_view value);
    JsonObject& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
    JsonObject& add(std::string_view name, std::uint64_t value);
    JsonObject& add(std::string_view name, unsigned value) { return add(name, std::uint64_t{value}); }
    JsonObject& add(std::string_view name, double value);
    JsonObject& add(std::string_view name, bool value);

    /// Appends all members of `other`.
    JsonObject& with(const JsonObject& other);

    [[nodiscard]] std::string text() const { return text_ + "}"; }

private:
    void key(std::string_view name);
    std::string text_ = "{";
};

}  // namespace weft::bench

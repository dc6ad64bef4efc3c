// What --json prints: an object on a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "codec/json_codec.hpp"

namespace weft {

class JsonLine {
public:
    JsonLine& text(std::string_view name, std::string_view value) {
        append_json_string(member(name), value);
        return *this;
    }
    /// JSON text as it is; "null" for none.
    JsonLine& json(std::string_view name, std::string_view value) {
        member(name) += value.empty() ? "null" : value;
        return *this;
    }
    JsonLine& number(std::string_view name, std::uint64_t value) {
        member(name) += std::to_string(value);
        return *this;
    }
    JsonLine& boolean(std::string_view name, bool value) {
        member(name) += value ? "true" : "false";
        return *this;
    }
    /// The object, without a line's end.
    [[nodiscard]] std::string str() const { return '{' + members_ + '}'; }

private:
    std::string& member(std::string_view name) {
        if (!members_.empty()) members_ += ',';
        append_json_string(members_, name);
        return members_ += ':';
    }

    std::string members_;
};

}  // namespace weft

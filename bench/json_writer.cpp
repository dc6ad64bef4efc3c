#include "json_writer.hpp"

#include <cstdio>

namespace weft::bench {

void JsonObject::key(std::string_view name) {
    if (text_.size() > 1) text_ += ", ";
    text_ += '"';
    text_ += name;
    text_ += "\": ";
}

JsonObject& JsonObject::add(std::string_view name, std::string_view value) {
    key(name);
    text_ += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') text_ += '\\';
        text_ += c;
    }
    text_ += '"';
    return *this;
}

JsonObject& JsonObject::add(std::string_view name, std::uint64_t value) {
    key(name);
    text_ += std::to_string(value);
    return *this;
}

JsonObject& JsonObject::add(std::string_view name, double value) {
    key(name);
    char digits[48];
    std::snprintf(digits, sizeof digits, "%.3f", value);
    text_ += digits;
    return *this;
}

JsonObject& JsonObject::add(std::string_view name, bool value) {
    key(name);
    text_ += value ? "true" : "false";
    return *this;
}

JsonObject& JsonObject::with(const JsonObject& other) {
    if (other.text_.size() > 1) {
        if (text_.size() > 1) text_ += ", ";
        text_.append(other.text_, 1);
    }
    return *this;
}

}  // namespace weft::bench

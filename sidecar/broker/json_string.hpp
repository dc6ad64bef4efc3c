// JSON's strings (RFC 8259 §7), written.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace weft {

/// Adds `text`, which is UTF-8, with its quotes.
inline void add_json_string(std::string& json, std::string_view text) {
    json += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            std::array<char, 8> escaped;
            std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
            json += escaped.data();
        } else {
            json += c;
        }
    }
    json += '"';
}

}  // namespace weft

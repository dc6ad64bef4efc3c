#include "log_line.hpp"

#include <algorithm>

namespace weft {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool printable(unsigned char c) {
    return c >= 0x20 && c < 0x7f;
}

bool bare(std::string_view value) {
    return !value.empty() && std::ranges::all_of(value, [](unsigned char c) {
        return printable(c) && c != ' ' && c != '"' && c != '\\' && c != '=';
    });
}

/// `backslash` is how the escape of a byte begins: "\" in text, "\\" within a JSON string.
void append_quoted(std::string& out, std::string_view value, std::string_view backslash) {
    out += '"';
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (printable(byte)) {
            out += c;
        } else {
            out += backslash;
            out += 'x';
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    out += '"';
}

}  // namespace

std::string log_line(LogFormat format, std::string_view event, std::span<const LogField> fields) {
    std::string out;
    const auto append = [&](std::string_view key, std::string_view value, bool number) {
        std::string cut;
        if (value.size() > LogField::kMaxValue) {
            cut = std::string(value.substr(0, LogField::kMaxValue)) + "...";
            value = cut;
        }
        if (format == LogFormat::json) {
            if (!out.empty()) out += ',';
            append_quoted(out, key, "\\\\");
            out += ':';
            if (number) {
                out += value;
            } else {
                append_quoted(out, value, "\\\\");
            }
            return;
        }
        if (!out.empty()) out += ' ';
        out += key;
        out += '=';
        if (number || bare(value)) {
            out += value;
        } else {
            append_quoted(out, value, "\\");
        }
    };
    append("event", event, false);
    for (const LogField& field : fields) append(field.key, field.value, field.number);
    return out;
}

}  // namespace weft

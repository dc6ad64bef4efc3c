#include "weft/raw_member.hpp"

#include <cstddef>

namespace weft {

namespace {

bool is_space(char c) noexcept {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// Behind the string whose opening quote is at `at`.
std::size_t string_end(std::string_view json, std::size_t at) noexcept {
    for (++at; at < json.size() && json[at] != '"'; ++at) {
        if (json[at] == '\\') ++at;
    }
    return at + 1;
}

}  // namespace

std::string_view raw_member(std::string_view json, std::string_view name) noexcept {
    std::size_t depth = 0;
    bool found = false;
    std::size_t begin = 0;  // of the value, once it is found
    for (std::size_t at = 0; at < json.size();) {
        const char c = json[at];
        if (c == '"') {
            const std::size_t end = string_end(json, at);
            if (end > json.size()) return {};
            std::size_t next = end;
            while (next < json.size() && is_space(json[next])) ++next;
            const bool is_name = depth == 1 && next < json.size() && json[next] == ':';
            if (is_name && !found && json.substr(at + 1, end - at - 2) == name) {
                found = true;
                begin = next + 1;
                at = begin;
                continue;
            }
            at = end;
            continue;
        }
        const bool over = (depth == 1 && (c == ',' || c == '}'));
        if (over && found) {
            std::size_t end = at;
            while (begin < end && is_space(json[begin])) ++begin;
            while (end > begin && is_space(json[end - 1])) --end;
            return json.substr(begin, end - begin);
        }
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        ++at;
    }
    return {};
}

}  // namespace weft

#include "gateway/parameters.hpp"

#include <algorithm>
#include <charconv>

namespace weft {

namespace {

std::string plain(const JsonValue& value) {
    if (!value.escaped) return std::string(value.text);
    std::string text(value.text.size(), '\0');
    text.resize(unescape_json(value.text, text.data()).size());
    return text;
}

std::string in_quotes(std::string_view name) {
    return '"' + std::string(name) + '"';
}

}  // namespace

Parameters::Parameters(std::string_view json, unsigned max_depth) {
    JsonScanner scanner(json, 0, max_depth);
    scanner.space();
    const bool object = scanner.peek() == '{';
    const bool valid = (object ? read(scanner) : scanner.value()) && (scanner.space(), scanner.finish());
    if (!valid) {
        refuse("expected a JSON object, this is " + scanner.fault());
    } else if (!object) {
        refuse("expected a JSON object");
    }
}

bool Parameters::read(JsonScanner& scanner) {
    if (!scanner.open()) return false;
    if (scanner.peek() != '}') {
        for (;;) {
            JsonString name;
            JsonValue value;
            if (!scanner.name(name) || !read_value(scanner, value)) return false;
            if (members_.size() == kMaxMembers) return scanner.fail("expected no more than 64 members");
            if (!name.escaped && find(name.raw) == nullptr) members_.push_back({name.raw, value});
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

const Parameters::Member* Parameters::find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(members_, name, &Member::name);
    return found == members_.end() ? nullptr : &*found;
}

std::string Parameters::text(std::string_view name) {
    const Member* const member = find(name);
    if (member == nullptr) return {};
    if (!member->value.is_string || member->value.text.empty()) {
        refuse(in_quotes(name) + " is no text: expected a string that isn't empty");
        return {};
    }
    return plain(member->value);
}

std::string Parameters::text(const TextRule& rule, bool optional) {
    const Member* const member = find(rule.name);
    if (member == nullptr) {
        if (!optional) refuse(refusal(rule.name, "missing", rule.form));
        return {};
    }
    if (!member->value.is_string) {
        refuse(refusal(rule.name, "not a string", rule.form));
        return {};
    }
    std::string value = plain(member->value);
    if (std::string wrong = check_text(rule, value); !wrong.empty()) refuse(std::move(wrong));
    return value;
}

std::uint32_t Parameters::number(std::string_view name, std::uint32_t least, std::uint32_t most,
                                 std::optional<std::uint32_t> otherwise) {
    const Member* const member = find(name);
    if (member == nullptr && otherwise) return *otherwise;
    std::uint32_t value = 0;
    if (member != nullptr && !member->value.is_string) {
        const std::string_view text = member->value.text;
        const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (fault == std::errc() && stop == text.data() + text.size() && value >= least && value <= most) return value;
    }
    refuse(in_quotes(name) + (member == nullptr ? " is missing" : " is not usable") +
           ": expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
}

Json Parameters::json(std::string_view name) const noexcept {
    const Member* const member = find(name);
    return member == nullptr ? Json() : member->value.json();
}

std::vector<Json> Parameters::list(std::string_view name, std::size_t most, std::string_view of) {
    const auto expected = [&] { return ": expected an array of 1 to " + std::to_string(most) + ' ' + std::string(of); };
    const Json text = json(name);
    if (!text.starts_with('[')) {
        refuse(in_quotes(name) + (text.empty() ? " is missing" : " is no array") + expected());
        return {};
    }
    std::vector<Json> elements;
    JsonScanner scanner(text, 0);  // it is valid, as all of the text
    scanner.open();
    while (scanner.peek() != ']' && elements.size() <= most) {
        JsonValue value;
        if (!read_value(scanner, value)) break;
        elements.push_back(value.json());
        scanner.space();
        if (scanner.peek() == ',') scanner.advance();
        scanner.space();
    }
    if (elements.empty() || elements.size() > most) {
        refuse(in_quotes(name) + (elements.empty() ? " is empty" : " is too long") + expected());
        return {};
    }
    return elements;
}

std::optional<std::string> Parameters::string_of(Json json) {
    if (!json.starts_with('"')) return std::nullopt;
    const std::string_view inside = json.substr(1, json.size() - 2);
    return plain({inside, true, inside.find('\\') != std::string_view::npos});
}

}  // namespace weft

#include "config_reader.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "units.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

std::string_view parent_of(std::string_view key) {
    const std::size_t dot = key.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
}

std::string_view leaf_of(std::string_view key) {
    return key.substr(key.rfind('.') + 1);  // npos + 1 is 0
}

}  // namespace

std::string ConfigReader::suggestion(std::string_view parent, std::string_view name,
                                     const std::vector<Key>& siblings) const {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, name.size() / 2)) + 1;
    if (name.size() > 64) return best;
    const auto consider = [&](std::string key) {
        // Neighbours first: a key from elsewhere must be spelt right to be offered.
        const std::size_t distance = edit_distance(name, leaf_of(key));
        if ((parent_of(key) != parent && distance != 0) || distance >= best_distance) return;
        best = std::move(key);
        best_distance = distance;
    };
    for (const Key& key : siblings) {
        consider(parent.empty() ? std::string(key.name) : std::string(parent) + "." + std::string(key.name));
    }
    for (const std::string_view key : keys_) consider(std::string(key));
    return best;
}

void ConfigReader::fail(const YAML::Mark& mark, std::string_view key, std::string message) {
    if (errors_.size() >= kMaxConfigErrors) return;
    errors_.push_back({std::string(file_), mark.is_null() ? 0 : mark.line + 1, mark.is_null() ? 0 : mark.column + 1,
                       std::string(key), std::move(message)});
}

ConfigErrors ConfigReader::take_errors() {
    std::ranges::stable_sort(errors_, {}, [](const ConfigError& e) { return std::pair(e.line, e.column); });
    return std::exchange(errors_, {});
}

void ConfigReader::read_map(const YAML::Node& map, const std::string& parent, const std::vector<Key>& keys) {
    if (map.IsNull()) return;  // all its keys are commented out
    if (!map.IsMap()) {
        std::string names;
        for (const Key& key : keys) {
            if (key.read) names += (names.empty() ? "" : ", ") + std::string(key.name);
        }
        fail(map.Mark(), parent, "is not a map; expected keys with values (" + names + ")");
        return;
    }
    std::vector<std::pair<std::string, YAML::Mark>> seen;
    for (const auto& entry : map) {
        const YAML::Mark mark = entry.first.Mark();
        if (!entry.first.IsScalar()) {
            fail(mark, parent, "has a key that is not a word; expected a name");
            continue;
        }
        const std::string& name = entry.first.Scalar();
        std::string full = parent;
        if (!full.empty()) full += '.';
        full += name;

        const auto before = std::ranges::find(
            seen, name, [](const auto& pair) -> auto& { return pair.first; });
        if (before != seen.end()) {
            fail(mark, full,
                 "is set twice, first in line " + std::to_string(before->second.line + 1) + "; expected once");
            continue;
        }
        seen.emplace_back(name, mark);

        const auto key = std::ranges::find(keys, name, &Key::name);
        if (key == keys.end()) {
            const std::string meant = suggestion(parent, name, keys);
            fail(mark, full, "unknown key" + (meant.empty() ? std::string() : "; did you mean " + quoted(meant) + "?"));
        } else if (!key->read) {
            fail(mark, full, "not supported yet");
        } else {
            key_mark_ = mark;
            key->read(entry.second, full);
        }
    }
}

std::optional<std::string> ConfigReader::scalar(const YAML::Node& node, const std::string& key,
                                                std::string_view expected) {
    if (node.IsScalar()) return node.Scalar();
    const std::string_view what = node.IsNull() ? "has no value" : node.IsMap() ? "is a map" : "is a list";
    // Nothing stands where the next thing begins; the key is where a reader looks.
    fail(node.IsNull() ? key_mark_ : node.Mark(), key, std::string(what) + "; expected " + std::string(expected));
    return std::nullopt;
}

std::vector<std::string> ConfigReader::list(const YAML::Node& node, const std::string& key, std::string_view expected,
                                            std::size_t most) {
    std::vector<std::string> texts;
    if (!node.IsSequence()) {
        if (auto text = scalar(node, key, expected)) texts.push_back(std::move(*text));
        return texts;
    }
    if (node.size() == 0 || node.size() > most) {
        fail(node.Mark(), key,
             "has " + std::to_string(node.size()) + " items; expected 1 to " + std::to_string(most) + " of " +
                 std::string(expected));
        return texts;
    }
    for (const YAML::Node& item : node) {
        if (auto text = scalar(item, key, expected)) texts.push_back(std::move(*text));
    }
    return texts;
}

ConfigReader::Read ConfigReader::duration(milliseconds& out, milliseconds min, milliseconds max) {
    return value("a duration such as 3s", [&out, min, max](const std::string& text) -> std::string {
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        if (*parsed < min || *parsed > max) {
            return quoted(text) + " is out of range; expected " + format_duration(min) + " to " + format_duration(max);
        }
        out = *parsed;
        return {};
    });
}

ConfigReader::Read ConfigReader::size(std::uint64_t& out, std::uint64_t min, std::uint64_t max,
                                      std::string_view example) {
    return value(example, [&out, min, max](const std::string& text) -> std::string {
        const auto size = parse_size(text);
        if (!size) return size.error();
        if (*size < min || *size > max) {
            return quoted(text) + " is out of range; expected " + format_size(min) + " to " + format_size(max);
        }
        out = *size;
        return {};
    });
}

ConfigReader::Read ConfigReader::number(std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
    return value("a number", [&out, min, max](const std::string& text) -> std::string {
        std::uint64_t number = 0;
        const char* const end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, number);
        if (parsed.ec != std::errc{} || parsed.ptr != end || number < min || number > max) {
            return quoted(text) + " is not it; expected a number from " + std::to_string(min) + " to " +
                   std::to_string(max);
        }
        out = number;
        return {};
    });
}

}  // namespace weft

// Reads YAML maps key by key, and tells all that is wrong with them, each with its place.
#pragma once

#include <yaml-cpp/yaml.h>

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"

namespace weft {

inline std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

class ConfigReader {
public:
    using Read = std::function<void(const YAML::Node&, const std::string& key)>;
    struct Key {
        std::string_view name;
        Read read;  // none: known, but not supported yet
    };

    /// `file` is for the errors. `keys`: every key that there is in any map, for "did you mean". Both must outlive
    /// this.
    ConfigReader(std::string_view file, std::span<const std::string_view> keys) : file_(file), keys_(keys) {}

    void fail(const YAML::Mark& mark, std::string_view key, std::string message);
    /// What was wrong, in the order of the file.
    ConfigErrors take_errors();
    [[nodiscard]] bool good() const noexcept { return errors_.empty(); }  ///< so far

    /// Calls the reader of each key that stands in `map`, whose own key is `parent`. Unknown keys and those that stand
    /// there twice are errors.
    void read_map(const YAML::Node& map, const std::string& parent, const std::vector<Key>& keys);
    /// The text of a plain value; none (and an error) for a list, a map, or nothing.
    std::optional<std::string> scalar(const YAML::Node& node, const std::string& key, std::string_view expected);
    /// The texts of a list of plain values, or of one that stands alone; empty (and an error) for anything else, and
    /// for more than `most`.
    std::vector<std::string> list(const YAML::Node& node, const std::string& key, std::string_view expected,
                                  std::size_t most);

    /// Hands the text to `set`, which returns what was wrong with it.
    template <class Set>
    Read value(std::string_view expected, Set set) {
        return [this, expected, set](const YAML::Node& node, const std::string& key) {
            const std::optional<std::string> text = scalar(node, key, expected);
            if (!text) return;
            if (std::string wrong = set(*text); !wrong.empty()) fail(node.Mark(), key, std::move(wrong));
        };
    }
    Read duration(std::chrono::milliseconds& out, std::chrono::milliseconds min, std::chrono::milliseconds max);
    /// Of bytes; `example` is what an error offers.
    Read size(std::uint64_t& out, std::uint64_t min, std::uint64_t max, std::string_view example);
    Read number(std::uint64_t& out, std::uint64_t min, std::uint64_t max);

private:
    /// The known key that was probably meant by `name` within `parent`; empty when nothing is near.
    [[nodiscard]] std::string suggestion(std::string_view parent, std::string_view name,
                                         const std::vector<Key>& siblings) const;

    std::string_view file_;
    std::span<const std::string_view> keys_;
    ConfigErrors errors_;
    YAML::Mark key_mark_;  // of the key whose value is being read
};

}  // namespace weft

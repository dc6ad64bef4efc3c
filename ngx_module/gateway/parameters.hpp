// The members of a JSON object that somebody sends as parameters, read one by one. The first that is wrong makes the
// fault; what is read after it is of no use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/json_object.hpp"
#include "codec/text_rules.hpp"

namespace weft {

class Parameters {
public:
    static constexpr std::size_t kMaxMembers = 64;  // of the object; more are refused

    /// Checks all of `json`, which must outlive this: at most `max_depth` deep.
    explicit Parameters(std::string_view json, unsigned max_depth = kMaxDepth);

    /// Empty: nothing is wrong so far. Else a sentence that names what is, and what was expected.
    [[nodiscard]] const std::string& fault() const noexcept { return fault_; }
    void refuse(std::string why) {
        if (fault_.empty()) fault_ = std::move(why);
    }

    [[nodiscard]] bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
    /// A string that isn't empty; empty when the member isn't there.
    std::string text(std::string_view name);
    /// A string by a rule; when it isn't there that is wrong, unless it is `optional`.
    std::string text(const TextRule& rule, bool optional = false);
    /// A whole number; `otherwise` when it isn't there. No value for that: it must be there.
    std::uint32_t number(std::string_view name, std::uint32_t least, std::uint32_t most,
                         std::optional<std::uint32_t> otherwise);
    /// Any value, as it stands in the text; empty when it isn't there.
    [[nodiscard]] Json json(std::string_view name) const noexcept;
    /// The elements of an array that must be there and has 1 to `most`; `of` says what they are ("channels").
    std::vector<Json> list(std::string_view name, std::size_t most, std::string_view of);

    /// A JSON string's contents. No value when `json` is none.
    static std::optional<std::string> string_of(Json json);

private:
    struct Member {
        std::string_view name;
        JsonValue value;
    };
    bool read(JsonScanner& scanner);
    [[nodiscard]] const Member* find(std::string_view name) const noexcept;

    std::vector<Member> members_;
    std::string fault_;
};

}  // namespace weft

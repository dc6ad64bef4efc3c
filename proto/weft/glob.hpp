// What channel and method patterns have in common: text with stars, in segments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// Whether `name` matches `pattern`: `*` stands for any run of characters without `separator`, a trailing `**` for any
/// run at all. At most name length × pattern length steps, no allocation.
bool glob_matches(std::string_view pattern, std::string_view name, char separator) noexcept;

/// What is wrong with `pattern`, as one sentence that calls it a `kind` pattern ("channel"); no value when it is
/// sound.
std::optional<std::string> glob_error(std::string_view pattern, std::string_view kind);

}  // namespace weft

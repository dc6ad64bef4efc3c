// What channel and method patterns have in common: text with stars, in segments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// What stands in a pattern for the user, as a segment of its own.
inline constexpr std::string_view kOwnerSegment = "{sub}";

/// Whether `name` matches `pattern`: `*` stands for any run of characters without `separator`, a trailing `**` for any
/// run at all, the segment `{sub}` for a segment that is `owner`, byte for byte; for any segment that isn't empty when
/// there is no `owner` to compare with. An owner that is empty or holds the separator is no segment, and so never
/// matches. At most name length × pattern length steps, no allocation.
bool glob_matches(std::string_view pattern, std::string_view name, char separator,
                  std::optional<std::string_view> owner = std::nullopt) noexcept;

/// What is wrong with `pattern`, as one sentence that calls it a `kind` pattern ("channel"); no value when it is
/// sound. `owners`: whether `{sub}` may stand in it.
std::optional<std::string> glob_error(std::string_view pattern, std::string_view kind, char separator, bool owners);

}  // namespace weft

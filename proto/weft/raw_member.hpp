// A member of a JSON object, byte for byte.
#pragma once

#include <string_view>

namespace weft {

/// The value of the first member called `name` of the object that `json` is, as it stands there, without the space
/// around it. Empty when no member is spelt so. `json` must be known to be valid.
std::string_view raw_member(std::string_view json, std::string_view name) noexcept;

}  // namespace weft

// Keeps credentials other than those of ticket_mask.hpp out of logs: hides them where a request's head holds them.
#pragma once

#include <span>
#include <string_view>

namespace weft {

/// Overwrites all of it with asterisks.
void mask_all(std::span<char> text) noexcept;

/// Overwrites the value of each cookie called `name` in a Cookie header.
void mask_cookie(std::span<char> cookies, std::string_view name) noexcept;

/// Overwrites what follows "bearer" in a list of offered subprotocols ("bearer, TOKEN").
void mask_bearer_pair(std::span<char> protocols) noexcept;

}  // namespace weft

// The rpc methods that every weftd answers itself.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "weft/codes.hpp"
#include "weft/time.hpp"

namespace weft {

struct RpcError {
    Code code;
    std::string message;
};

/// weft.echo: its params, or null. weft.time: {"time":"2026-01-31T12:00:00.000Z","unix_ms":…,"node":"…"}. The result is
/// JSON text. Any other method is Code::method_not_found.
tl::expected<std::string, RpcError> call_builtin(std::string_view method, std::string_view params,
                                                 std::string_view node, WallTime wall);

}  // namespace weft

// The JSON of webhooks: bodies that weftd sends, and answers that it gets (docs/hooks.md).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "call/hook.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

/// "event", "node", "user" and "client_id", then what the event itself brings. `node` is this node's name.
std::string rpc_body(const v1::Rpc& rpc, std::string_view node);
std::string connect_body(const v1::MayConnect& connect, std::string_view node);
std::string subscribe_body(const v1::MaySubscribe& subscribe, std::string_view node);
std::string publish_body(const v1::Publish& publish, std::string_view node);
std::string disconnect_body(const v1::Disconnected& disconnected, std::string_view node);

/// A client's id as clients and back ends see it: 16 hexadecimal digits.
std::string client_id_text(std::uint64_t id);

/// Reads the body of a 2xx answer; an empty one allows. The error says, for a log, what was wrong with it and what was
/// expected. Values are checked to be JSON and are kept byte for byte.
tl::expected<HookAnswer, std::string> parse_hook_answer(Hook hook, std::string_view body);

/// Whether `text` is JSON and nothing else.
bool is_json(std::string_view text);

/// Codes that a back end may give: the client protocol's own and those from 4100 on, which are the application's.
inline constexpr std::uint16_t kMinCode = 4000, kMaxCode = 4999;
inline constexpr std::size_t kMaxErrorMessage = 1024;  // bytes; what is longer is cut
/// Longest a WebSocket close frame can tell is 123 bytes; the error frame before it carries the whole.

/// At most `most` bytes of `text`, which is UTF-8, cut between characters.
std::string_view cut_utf8(std::string_view text, std::size_t most) noexcept;

}  // namespace weft

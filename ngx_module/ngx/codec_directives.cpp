#include "ngx/codec_directives.hpp"

#include <string>

#include "codec/codecs.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/settings.hpp"
#include "weft/channel.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxRoomsPrefix = 128;  // bytes

}  // namespace

char* set_protocol(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& protocol = static_cast<LocationSettings*>(conf)->protocol;
    if (!protocol.empty()) return const_cast<char*>("is duplicate");
    std::string names;
    for (const auto& codec : make_codecs({})) {
        if (view(args(cf)[1]) == codec->name()) {
            protocol = codec->subprotocol();
            return NGX_CONF_OK;
        }
        names += (names.empty() ? "" : ", ") + std::string(codec->name());
    }
    return fail(cf, "invalid protocol " + quoted(args(cf)[1]) + " in \"weft_protocol\", expected one of " + names);
}

char* set_rooms_prefix(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& prefix = static_cast<MainSettings*>(conf)->rooms_prefix;
    if (prefix) return const_cast<char*>("is duplicate");
    const std::string_view value = view(args(cf)[1]);
    if (value.size() > kMaxRoomsPrefix || (!value.empty() && !is_channel_name(value))) {
        return fail(cf, "invalid prefix " + quoted(args(cf)[1]) +
                            " in \"weft_rooms_prefix\", expected at most 128 bytes of A-Z a-z 0-9 _ - . : / @ =");
    }
    prefix = value;
    return NGX_CONF_OK;
}

}  // namespace weft

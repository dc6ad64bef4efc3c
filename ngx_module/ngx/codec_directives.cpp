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

std::optional<std::string> check_protocol(const LocationSettings& location) {
    const bool raw = location.publish_raw.value_or(false) && !location.stream;
    if (raw && location.entrance.empty()) {
        return "has \"weft_publish_raw on\" and no \"weft_subscribe\", expected \"weft_subscribe CHANNEL;\": what "
               "such clients send goes there";
    }
    if (raw && !location.protocol.empty() && location.protocol != kRawProtocol) {
        return "has \"weft_publish_raw on\" and another \"weft_protocol\", expected one of them";
    }
    if (!location.stream || location.protocol.empty()) return std::nullopt;
    std::string fitting;
    for (const auto& codec : make_codecs({})) {
        if (!StreamWire::fits(*location.stream, *codec)) continue;
        if (codec->subprotocol() == location.protocol) return std::nullopt;
        fitting += (fitting.empty() ? "" : " or ") + std::string(codec->name());
    }
    return "has a \"weft_protocol\" that can't be spoken so, expected " + fitting;
}

}  // namespace weft

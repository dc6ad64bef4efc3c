#include "dialect.hpp"

namespace weft::bench {

Framing Dialect::framing(Role) const {
    return Framing::websocket;
}

Request Dialect::again(std::uint32_t channel, std::string_view) const {
    return request(Role::subscriber, channel);
}

Dialect::Step Dialect::on_open(Role, std::uint32_t, std::string&) const {
    return Step::ready;
}

Dialect::Step Dialect::on_message(Role, std::uint32_t, std::string_view, std::string&) const {
    return Step::wait;
}

bool Dialect::on_aside(std::string_view, std::string&) const {
    return true;
}

std::string_view header_value(std::string_view head, std::string_view name) noexcept {
    for (std::size_t at = head.find(name); at != std::string_view::npos; at = head.find(name, at + 1)) {
        const std::string_view rest = head.substr(at + name.size());
        if (at < 2 || head.substr(at - 2, 2) != "\r\n" || !rest.starts_with(": ")) continue;
        return rest.substr(2, rest.find("\r\n") - 2);
    }
    return {};
}

std::string channel_name(std::uint32_t channel) {
    return "bench:" + std::to_string(channel);
}

tl::expected<std::unique_ptr<Dialect>, std::string> make_dialect(const DialectOptions& options) {
    if ((options.sse || options.poll) && options.name != "weft" && options.name != "nchan") {
        return tl::unexpected("the dialect \"" + options.name + "\" has WebSocket alone: expected weft or nchan");
    }
    if (options.raw && options.name != "weft")
        return tl::unexpected("the dialect \"" + options.name + "\" has no raw protocol: expected weft");
    if (options.name == "weft") return make_weft_dialect(options);
    if (options.name == "nchan") return make_nchan_dialect(options);
    if (options.name == "ws") return make_ws_dialect(options);
    if (options.name == "socketio") return make_socketio_dialect();
    return tl::unexpected("unknown dialect \"" + options.name + "\": expected weft, nchan, ws or socketio");
}

}  // namespace weft::bench

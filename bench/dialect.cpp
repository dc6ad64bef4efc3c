#include "dialect.hpp"

namespace weft::bench {

Framing Dialect::framing(Role) const {
    return Framing::websocket;
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

std::string channel_name(std::uint32_t channel) {
    return "bench:" + std::to_string(channel);
}

tl::expected<std::unique_ptr<Dialect>, std::string> make_dialect(const DialectOptions& options) {
    if (options.sse && options.name != "weft" && options.name != "nchan") {
        return tl::unexpected("the dialect \"" + options.name + "\" has no server-sent events: expected weft or nchan");
    }
    if (options.name == "weft") return make_weft_dialect(options);
    if (options.name == "nchan") return make_nchan_dialect(options);
    if (options.name == "ws") return make_ws_dialect(options);
    if (options.name == "socketio") return make_socketio_dialect();
    return tl::unexpected("unknown dialect \"" + options.name + "\": expected weft, nchan, ws or socketio");
}

}  // namespace weft::bench

// The least protocol that a hand-written WebSocket server needs for channels; peers/ws_server.mjs and
// peers/uws_server.mjs speak it. To the server: "s <channel>" and "p <channel> <message>"; from it: "ok", and the bare
// messages.
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

class WsDialect final : public Dialect {
public:
    explicit WsDialect(std::string path) : path_(std::move(path)) {}

    [[nodiscard]] Request request(Role, std::uint32_t) const override { return {path_, {}}; }

    Step on_open(Role role, std::uint32_t channel, std::string& out) const override {
        if (role == Role::publisher) return Step::ready;
        append_client_frame(out, Opcode::text, "s " + channel_name(channel));
        return Step::wait;
    }

    Step on_message(Role, std::uint32_t, std::string_view message, std::string&) const override {
        return message == "ok" ? Step::ready : Step::wait;
    }

    void append_publication(std::string& out, std::uint32_t channel, std::string_view payload) const override {
        thread_local std::string text;
        text.assign("p ").append(channel_name(channel)).append(" ").append(payload);
        append_client_frame(out, Opcode::text, text);
    }

private:
    std::string path_;
};

}  // namespace

std::unique_ptr<Dialect> make_ws_dialect(const DialectOptions& options) {
    return std::make_unique<WsDialect>(options.path.empty() ? "/" : options.path);
}

}  // namespace weft::bench

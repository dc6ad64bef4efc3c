// Nchan: a subscriber is a WebSocket (or an event stream) to /sub/<channel>, a publisher one to /pub/<channel>;
// messages are bare.
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

class NchanDialect final : public Dialect {
public:
    explicit NchanDialect(Framing listening) : listening_(listening) {}

    [[nodiscard]] Framing framing(Role role) const override {
        return role == Role::subscriber ? listening_ : Framing::websocket;
    }

    [[nodiscard]] Request request(Role role, std::uint32_t channel) const override {
        return {(role == Role::subscriber ? "/sub/" : "/pub/") + channel_name(channel), {}};
    }

    [[nodiscard]] Request again(std::uint32_t channel, std::string_view head) const override {
        Request next = request(Role::subscriber, channel);
        const std::string_view modified = header_value(head, "Last-Modified");
        const std::string_view tag = header_value(head, "Etag");
        if (!modified.empty()) next.headers.append("If-Modified-Since: ").append(modified).append("\r\n");
        if (!tag.empty()) next.headers.append("If-None-Match: ").append(tag).append("\r\n");
        return next;
    }
    [[nodiscard]] bool ready_when_asked() const override { return true; }

    void append_publication(std::string& out, std::uint32_t, std::string_view payload) const override {
        append_client_frame(out, Opcode::text, payload);
    }

    [[nodiscard]] bool publisher_per_channel() const override { return true; }

private:
    Framing listening_;
};

}  // namespace

std::unique_ptr<Dialect> make_nchan_dialect(const DialectOptions& options) {
    return std::make_unique<NchanDialect>(subscriber_framing(options));
}

}  // namespace weft::bench

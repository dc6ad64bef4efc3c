// Nchan: a subscriber is a WebSocket (or an event stream) to /sub/<channel>, a publisher one to /pub/<channel>;
// messages are bare.
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

class NchanDialect final : public Dialect {
public:
    explicit NchanDialect(bool sse) : sse_(sse) {}

    [[nodiscard]] Framing framing(Role role) const override {
        return sse_ && role == Role::subscriber ? Framing::events : Framing::websocket;
    }

    [[nodiscard]] Request request(Role role, std::uint32_t channel) const override {
        return {(role == Role::subscriber ? "/sub/" : "/pub/") + channel_name(channel), {}};
    }

    void append_publication(std::string& out, std::uint32_t, std::string_view payload) const override {
        append_client_frame(out, Opcode::text, payload);
    }

    [[nodiscard]] bool publisher_per_channel() const override { return true; }

private:
    bool sse_;
};

}  // namespace

std::unique_ptr<Dialect> make_nchan_dialect(const DialectOptions& options) {
    return std::make_unique<NchanDialect>(options.sse);
}

}  // namespace weft::bench

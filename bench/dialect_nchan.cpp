// Nchan: a subscriber is a WebSocket to /sub/<channel>, a publisher one to /pub/<channel>; messages are bare.
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

class NchanDialect final : public Dialect {
public:
    [[nodiscard]] Request request(Role role, std::uint32_t channel) const override {
        return {(role == Role::subscriber ? "/sub/" : "/pub/") + channel_name(channel), {}};
    }

    void append_publication(std::string& out, std::uint32_t, std::string_view payload) const override {
        append_client_frame(out, Opcode::text, payload);
    }

    [[nodiscard]] bool publisher_per_channel() const override { return true; }
};

}  // namespace

std::unique_ptr<Dialect> make_nchan_dialect() {
    return std::make_unique<NchanDialect>();
}

}  // namespace weft::bench

// A client that only listens: over server-sent events or lines of JSON.
#pragma once

#include "gateway/channel_positions.hpp"
#include "gateway/connection.hpp"
#include "gateway/stream_wire.hpp"

namespace weft {

class StreamConnection : public Connection {
public:
    /// `positions`: where it stands in its channels, if it is in several and an event's id is to speak of all of them;
    /// else null.
    StreamConnection(Gateway& gateway, const EndpointSettings& endpoint, StreamWire& wire,
                     std::unique_ptr<ChannelPositions> positions);

    void receive(std::span<char> bytes) override;
    bool describe(v1::Leaver& leaver) const override;
    void pack(v1::Moved& rest) override;
    void unpack(const v1::Moved& rest) override;
    void on_end_of_input() override { on_departure(); }

private:
    // Such a client can't answer: what is asked is whether TCP still takes it.
    void probe() override;
    Phase say_goodbye(std::uint16_t code, std::string_view why) override;
    SharedBytes rewrite(const SharedBytes& frames) override;
    void take_early(std::string_view) override {}

    [[nodiscard]] StreamWire& wire() noexcept { return static_cast<StreamWire&>(Connection::wire()); }

    std::unique_ptr<ChannelPositions> positions_;
};

}  // namespace weft

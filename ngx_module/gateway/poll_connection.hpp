// A client that asks, and is answered when there is something to say or the time is over.
#pragma once

#include <string>

#include "gateway/channel_positions.hpp"
#include "gateway/connection.hpp"
#include "gateway/stream_wire.hpp"

namespace weft {

/// It is held for its endpoint's `heartbeat`, at most.
class PollConnection : public Connection {
public:
    /// `positions`: where the client stands, as far as it said.
    PollConnection(Gateway& gateway, const EndpointSettings& endpoint, StreamWire& wire, ChannelPositions positions)
        : Connection(gateway, endpoint, wire), positions_(std::move(positions)) {}

    void receive(std::span<char>) override {}
    void on_end_of_input() override;
    [[nodiscard]] bool closed_by_peer() const noexcept override { return left_; }

    /// Takes what is queued. Whether the poll is to be answered now.
    bool collect();
    /// Whether there is anything to say; else the time was over, or nothing is known.
    [[nodiscard]] bool news() const noexcept { return news_; }
    /// The answer's body: {"position":"…","frames":[…]}, its frames as the codec writes them.
    [[nodiscard]] std::string answer() const;
    /// Where the client stands after the answer, as ChannelPositions writes it.
    [[nodiscard]] std::string position() const;
    /// It was answered.
    void on_answered();

private:
    void probe() override;
    Phase say_goodbye(std::uint16_t code, std::string_view why) override;
    void take_early(std::string_view) override {}

    ChannelPositions positions_;
    std::string frames_;  // separated by commas
    bool news_ = false;
    bool over_ = false;
    bool left_ = false;
};

}  // namespace weft

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
    struct Terms {
        std::size_t channels = 1;    // that it is put into
        ChannelPositions positions;  // where the client stands, as far as it said
        bool at_once = false;        // it is answered as soon as it is in its channels, whether there is news or not
    };

    /// Bytes of frames in an answer, roughly: the rest is for the next, so that a client whose network cuts long
    /// answers gets on.
    static constexpr std::size_t kEnough = std::size_t{16} * 1024;

    PollConnection(Gateway& gateway, const EndpointSettings& endpoint, StreamWire& wire, Terms terms)
        : Connection(gateway, endpoint, wire),
          positions_(std::move(terms.positions)),
          outside_(terms.channels),
          at_once_(terms.at_once) {}

    [[nodiscard]] bool comes_again() const noexcept override { return true; }
    void receive(std::span<char>) override {}
    void on_end_of_input() override { on_departure(); }

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

    void take(const PollRecord& record);
    /// Whether somebody's coming or going is a reason to answer. A client's own isn't: each of its polls comes and
    /// goes.
    [[nodiscard]] bool is_news(const PollRecord& record) const noexcept;

    ChannelPositions positions_;
    std::string frames_;   // separated by commas
    std::size_t outside_;  // channels that it isn't in yet
    bool at_once_;
    bool news_ = false;
    bool over_ = false;
};

}  // namespace weft

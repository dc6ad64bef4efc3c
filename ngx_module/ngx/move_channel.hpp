// One worker's end of what it says to another about connections that move (proto/weft/v1/move.proto), in nginx's event
// loop.
#pragma once

#include <string_view>

#include "move/fd_channel.hpp"
#include "ngx/ngx.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

inline constexpr std::uint32_t kMoveVersion = 1;
inline constexpr std::size_t kMostLeavers = 64;  // connections of one Leaving

class MoveChannel {
public:
    /// Bytes that may wait for the other worker. What is queued for clients waits here instead of there, no longer.
    static constexpr std::size_t kQueue = std::size_t{512} * 1024 * 1024;

    class Events {
    public:
        virtual ~Events() = default;
        /// `fd` may be none, also where one was sent: this process may have no room for it. Must not destroy the
        /// channel.
        virtual void on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd fd) = 0;
        /// Nothing more comes from there, and what came before was told. Must not destroy the channel.
        virtual void on_end(MoveChannel& channel, std::string_view why) = 0;
    };

    /// `events` must outlive it. Throws std::runtime_error when nginx has no room for its events.
    MoveChannel(FdChannel channel, Events& events, ngx_cycle_t* cycle);
    ~MoveChannel();
    MoveChannel(const MoveChannel&) = delete;
    MoveChannel& operator=(const MoveChannel&) = delete;

    /// False: it can't be; the channel is about to end.
    bool send(const v1::MoveFrame& frame, int fd = -1) noexcept;
    /// The other worker's words count no more but for those that it has said already, which are told by and by, and
    /// then the end.
    void take_back() noexcept;
    [[nodiscard]] bool ended() const noexcept { return ended_; }

private:
    static constexpr std::size_t kMessagesATurn = 64;

    static void on_event(ngx_event_t* event) noexcept;
    void receive();
    void settle(tl::expected<FdChannel::Flow, FdChannel::Error> flow);
    void end(std::string_view why) noexcept;

    FdChannel channel_;
    Events& events_;
    ngx_cycle_t* cycle_;
    ngx_connection_t* connection_ = nullptr;
    std::string bytes_;
    bool ended_ = false;
};

}  // namespace weft

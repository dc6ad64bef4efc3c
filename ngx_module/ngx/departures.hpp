// Connections that leave this worker, which is to quit, for those that came after it (docs/reload.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ngx/move_channel.hpp"
#include "ngx/socket.hpp"

namespace weft {

class Departures final : private MoveChannel::Events {
public:
    static constexpr std::size_t kBatch = 64;  // connections that go at one moment, to one worker
    // Those that are on their way hold still. So only so many do at a time, and their clients don't wait for long.
    static constexpr std::size_t kMaxStill = 256;
    /// How long a connection that is never at rest, or that nobody takes, is tried before it is drained instead.
    static constexpr std::chrono::milliseconds kPatience{5'000};
    /// How long a reload's new workers are waited for while none of them is ready.
    static constexpr std::chrono::milliseconds kReloadPatience{20'000};

    Departures(Worker& worker, ngx_cycle_t* cycle, std::string directory, std::uint64_t generation);
    ~Departures() override;

    /// Whether nginx has other workers, or is about to: this one isn't told to go because nginx stops.
    [[nodiscard]] bool others_come() const;
    /// Has `socket` move, as soon as it can. False: it can't, or nobody is there to take it.
    bool add(Socket& socket);
    /// A socket has ended here.
    void forget(const Socket& socket) noexcept;
    /// Goes on with what is under way.
    void run();
    void on_marked(unsigned shard, const v1::Marked& marked);
    void on_link_lost();

private:
    struct Batch {
        std::uint64_t number = 0;
        std::vector<Socket*> sockets;  // by their index in Leaving; null: no more ours to care for
        enum class Stage : std::uint8_t { announced, marking, sent } stage = Stage::announced;
        unsigned marks = 0;  // that have come
        std::size_t left = 0;
    };
    struct Destination {
        pid_t pid = 0;
        std::unique_ptr<MoveChannel> channel;
        std::uint64_t incarnation = 0;
        std::uint64_t load = 0;  // connections
        bool ready = false;
        bool closed = false;
        Batch batch;  // without sockets: none is under way
    };

    void on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd fd) override;
    void on_end(MoveChannel& channel, std::string_view why) override;

    void go_on();
    /// Whether somebody is there who takes connections, or is to come.
    [[nodiscard]] bool expects_anybody() const;
    Destination* destination_of(const MoveChannel& channel) noexcept;
    void look_for_destinations();
    void say_hello(Destination& destination);
    Destination* least_loaded() noexcept;
    void announce(Destination& destination);
    void on_awaited(Destination& destination, const v1::Awaited& awaited);
    void send_all(Destination& destination);
    void on_taken(Destination& destination, const v1::Taken& taken);
    /// The batch doesn't go by this way: what has left some of its channels can't stay here, the rest is tried again.
    void abort(Destination& destination);
    /// One of a batch is done with.
    void settle(Batch& batch, std::size_t index) noexcept;
    /// It is served here until it is drained.
    void stay(Socket& socket);
    /// It can't be served any more without a loss: the client is to come back.
    void send_away(Socket& socket);

    Worker& worker_;
    ngx_cycle_t* cycle_;
    std::string directory_;
    std::uint64_t generation_;
    std::string other_master_;  // the file that is there as long as two masters are
    std::vector<std::unique_ptr<Destination>> destinations_;
    std::vector<Socket*> pending_;
    std::uint64_t last_number_ = 0;
    Instant next_look_{};
    Instant give_up_at_{};
    Instant began_at_{};
    bool begun_ = false;
};

}  // namespace weft

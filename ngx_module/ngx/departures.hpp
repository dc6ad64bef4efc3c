// Connections that leave this worker, which is to quit, for those that came after it (docs/reload.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "move/destinations.hpp"
#include "move/move_batch.hpp"
#include "ngx/move_channel.hpp"
#include "ngx/socket.hpp"

namespace weft {

class Departures final : private MoveChannel::Events {
public:
    static constexpr std::size_t kBatch = kMostLeavers;  // connections that go at one moment, to one worker
    // Those that are on their way hold still. So only so many do at a time, and their clients don't wait for long.
    static constexpr std::size_t kMaxStill = 256;
    /// Bytes that may wait for a client which moves. They go in one message with what is half read: who has both, and
    /// more than kMaxMessage of them together, is sent away in place of moving.
    static constexpr std::size_t kMostUnsent = kMaxMessage / 2;
    /// Bytes that are said beforehand of a connection. Who is in so many channels that it would be more is drained.
    static constexpr std::size_t kMostSaid = kMaxMessage - 1024;
    /// And of all that go at one moment, if they are several: the other worker takes them in without a pause.
    static constexpr std::size_t kMostSaidTogether = std::size_t{128} * 1024;
    /// How long those that go at one moment wait for the next word of the other worker, or of weftd.
    static constexpr std::chrono::seconds kWait{10};

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
    using Batch = MoveBatch<Socket>;
    struct Route {  // to another worker
        Route(Destination& worker, std::unique_ptr<MoveChannel> channel)
            : worker(worker), channel(std::move(channel)) {}

        Destination& worker;
        std::unique_ptr<MoveChannel> channel;
        std::uint64_t incarnation = 0;
        Batch batch;
    };

    void on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd fd) override;
    void on_end(MoveChannel& channel, std::string_view why) override;

    void go_on();
    Route* route_of(const MoveChannel& channel) noexcept;
    /// To the worker that the next connections go to; null: there is none.
    Route* next_route() noexcept;
    void look_for_workers();
    void say_hello(Route& route);
    void announce(Route& route);
    void on_welcome(Route& route, const v1::MoveWelcome& welcome);
    void on_awaited(Route& route, const v1::Awaited& awaited);
    void send_all(Route& route);
    void on_taken(Route& route, const v1::Taken& taken);
    /// Something was heard of the batch: it may take its time again.
    void renew(Route& route);
    /// Nothing was heard of the batch for kWait.
    void on_overdue(Route& route);
    enum class Rest { tried_again, stays };
    /// The batch doesn't go by this way: what has left some of its channels can't stay here, with the rest it is as
    /// `rest` says.
    void abort(Route& route, Rest rest = Rest::tried_again);
    /// One of a batch isn't coming any more.
    static void say_gone(Route& route, std::uint64_t number, std::size_t index);
    /// One of a batch is done with.
    static void settle(Route& route, std::size_t index) noexcept;
    /// It is served here until it is drained.
    void stay(Socket& socket);
    /// It can't be served any more without a loss: the client is to come back.
    void send_away(Socket& socket);

    Worker& worker_;
    ngx_cycle_t* cycle_;
    std::string directory_;
    std::uint64_t generation_;
    std::string other_master_;  // the file that is there as long as two masters are
    Destinations destinations_;
    std::vector<std::unique_ptr<Route>> routes_;
    std::vector<Socket*> pending_;
    std::uint64_t last_number_ = 0;
};

}  // namespace weft

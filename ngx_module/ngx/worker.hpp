// What one nginx worker has of Weft, and how its event loop drives it.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "codec/codecs.hpp"
#include "gateway/gateway.hpp"
#include "gateway/wire_table.hpp"
#include "ngx/link.hpp"
#include "ngx/settings.hpp"
#include "ngx/zone_members.hpp"
#include "websocket/frame_parser.hpp"

namespace weft {

class Arrivals;
class Carrier;
class Departures;
class RequestCarrier;
class Socket;

class Worker final : private Gateway::Host {
public:
    /// The most that a client is served after it was told to reconnect; and at most a quarter of weft_drain.
    static constexpr ngx_msec_t kMaxSpread = 2'000;  // over which held polls are answered when others take their place
    static constexpr ngx_msec_t kMaxGrace = 3'000;
    static constexpr ngx_msec_t kTick = 50;                             // milliseconds
    static constexpr std::size_t kReadBuffer = std::size_t{64} * 1024;  // bytes, for one read of any connection
    static constexpr std::size_t kWriteBuffer =
        std::size_t{128} * 1024;  // bytes, to gather what goes out in one send()

    /// This process's worker; null where Weft isn't configured, or it could not be started.
    static Worker* current() noexcept;
    /// Starts it in this process. False after logging why not.
    static bool start(ngx_cycle_t* cycle) noexcept;
    static void stop() noexcept;

    ~Worker() override;

    [[nodiscard]] Gateway& gateway() noexcept { return gateway_; }
    [[nodiscard]] MainSettings& settings() noexcept { return settings_; }
    [[nodiscard]] const ChannelRules& rules() const noexcept { return settings_.rules; }
    [[nodiscard]] WireTable& wires() noexcept { return wires_; }
    [[nodiscard]] Admission& admission() noexcept { return admission_; }
    /// How deep the JSON of clients and back ends may be nested.
    [[nodiscard]] unsigned json_depth() const noexcept { return settings_.json_depth.value_or(kMaxDepth); }

    /// Brings the gateway's time up to date; first thing in each callback of nginx.
    void wake() noexcept { gateway_.set_time(monotonic_now(), wall_now()); }

    /// kReadBuffer bytes with websocket::kPadding behind them, shared by all reads: nothing in it outlives a callback.
    [[nodiscard]] char* read_buffer() noexcept { return read_buffer_.get(); }
    [[nodiscard]] char* write_buffer() noexcept { return write_buffer_.get(); }

    /// This worker has been told to quit: it stays until its connections have ended, and this one ends within
    /// weft_drain.
    void drain(Connection& connection);
    /// The same, of one that doesn't move to another worker.
    void drain_here(Connection& connection);
    /// A socket is about to be destroyed.
    void on_socket_gone(const Socket& socket) noexcept;
    /// A connection has been destroyed.
    void on_connection_gone() noexcept {
        if (ngx_exiting && gateway_.connections() == 0) tick_.cancelable = 1;
    }
    /// A request that stays as long as its connection. nginx neither waits for such when this process is to end, nor
    /// tells them; so we do.
    void add_request(RequestCarrier& request);
    void remove_request(RequestCarrier& request) noexcept;

    /// Writes the log lines of all that are still open, for a process that ends without ending them.
    void log_open() noexcept;

    /// Something left for weftd or for a client: those whose reading had to wait for that may go on.
    void resume_paused() noexcept;

    std::uint64_t random() override { return random_(); }
    tl::expected<std::shared_ptr<const Identity>, event::Error> identify(Connection& connection,
                                                                         std::string_view token) override;

private:
    Worker(ngx_cycle_t* cycle, MainSettings& settings, Counters& counters);

    void schedule_turn_end() override;
    void flush(Connection& connection) override;
    void read_on(Connection& connection) override;
    void visit(const std::function<void(Connection&)>& visit) override;
    /// It destroys none.
    void for_each_carrier(const std::function<void(Carrier&)>& visit);
    void log(Gateway::Level level, std::string_view line) override;
    void on_marked(unsigned shard, const v1::Marked& marked) override;
    void on_link_lost() override;
    void end_turn() noexcept;
    void on_tick() noexcept;

    ngx_cycle_t* cycle_;
    MainSettings& settings_;
    Counters& counters_;
    Admission admission_;
    std::mt19937_64 random_;
    ZoneMembers members_;
    std::vector<std::unique_ptr<Codec>> codecs_;
    WireTable wires_{codecs_, counters_};
    std::unique_ptr<char[]> read_buffer_;
    std::unique_ptr<char[]> write_buffer_;
    Gateway gateway_;
    std::unique_ptr<Link> link_;
    std::unique_ptr<Arrivals> arrivals_;      // null: connections don't move
    std::unique_ptr<Departures> departures_;  // likewise
    std::vector<RequestCarrier*> requests_;
    bool drained_ = false;  // requests_ were told that this process is to end
    ngx_event_t turn_end_{};
    ngx_event_t tick_{};
};

}  // namespace weft

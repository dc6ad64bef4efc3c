// Connections that come to this worker from others that are to quit (docs/reload.md).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "move/move_party.hpp"
#include "move/rendezvous.hpp"
#include "ngx/move_channel.hpp"
#include "ngx/settings.hpp"
#include "ngx/socket.hpp"

namespace weft {

class Arrivals final : private MoveChannel::Events {
public:
    /// Listens in `directory`. Null after logging why not: then nobody comes.
    static std::unique_ptr<Arrivals> open(Worker& worker, const MainSettings& settings, const std::string& directory,
                                          ngx_cycle_t* cycle);
    ~Arrivals() override;

    /// Those who are expected, and have no socket yet.
    void for_each(const std::function<void(Carrier&)>& visit);
    /// At the end of each turn, and now and then.
    void run();
    void on_marked(unsigned shard, const v1::Marked& marked);
    void on_link_lost();

private:
    static constexpr std::size_t kMostParties = 64;          // of one worker: it has one, and some that came to nothing
    static constexpr std::chrono::milliseconds kPause{500};  // of accepting, where the system refuses

    struct Guest {
        std::unique_ptr<Socket> socket;  // null: refused, or served here by now
        std::optional<v1::Moved> rest;   // what came before the moment
        UniqueFd fd;
        std::string address;
    };
    struct Party : MoveParty {  // those who come at one moment
        using MoveParty::MoveParty;
        std::vector<Guest> guests;
        v1::Awaited answer;
    };
    struct Origin {
        std::unique_ptr<MoveChannel> channel;
        std::uint64_t incarnation = 0;
        std::vector<std::unique_ptr<Party>> parties;
    };

    Arrivals(Worker& worker, const MainSettings& settings, Rendezvous rendezvous, ngx_cycle_t* cycle);

    static void on_connection(ngx_event_t* event) noexcept;
    void pause();
    void listen_again();
    void on_frame(MoveChannel& channel, v1::MoveFrame& frame, UniqueFd fd) override;
    void on_end(MoveChannel& channel, std::string_view why) override;
    Origin* origin_of(const MoveChannel& channel) noexcept;
    void welcome(Origin& origin, const v1::MoveHello& hello);
    void expect(Origin& origin, const v1::Leaving& leaving);
    std::unique_ptr<Socket> make_socket(const v1::Leaver& leaver, const LocationSettings& location);
    /// Why it isn't let in; code 0: it is to reconnect.
    std::optional<event::Error> take_in(Guest& guest, const v1::Leaver& leaver);
    void on_moved(Origin& origin, v1::Moved& moved, UniqueFd fd);
    void settle_in(Origin& origin, Party& party, std::size_t index);
    void drop(Guest& guest);

    Worker& worker_;
    const MainSettings& settings_;
    Rendezvous rendezvous_;
    ngx_cycle_t* cycle_;
    ngx_connection_t* listening_ = nullptr;
    std::optional<Instant> listen_again_at_;  // nobody is accepted until then
    std::vector<std::unique_ptr<Origin>> origins_;
};

}  // namespace weft

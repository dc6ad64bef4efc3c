// A worker's link to one shard of weftd (weft/shard.hpp), and what the gateway remembers of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/request_table.hpp"
#include "gateway/survey.hpp"
#include "weft/link_session.hpp"

namespace weft {

class Connection;
class RequestObserver;
struct Feed;

/// What a shard was asked.
struct LinkRequest {
    Connection* connection = nullptr;
    RequestObserver* observer = nullptr;
    std::string id;  // of the connection's command, or what the observer knows it by
    enum class Kind : std::uint8_t {
        plain,
        rpc,
        history,
        replay,
        catch_up,
        members,
        member_count,
        member_stats,
        connect,
        subscribe
    } kind = Kind::plain;
    bool open = false;
    std::string channel{};  // of members and subscribe
    struct Subscribe {
        std::optional<std::string> position;
        bool echo;
    };
    std::unique_ptr<const Subscribe> subscribe{};  // what is to be done when a back end allows it
    std::shared_ptr<Survey> survey{};              // of which this is one shard's part
};

using LinkRequests = RequestTable<LinkRequest>;

class ShardLink final : private LinkDialer::Events {
public:
    /// As LinkDialer::Events, of several links.
    class Events {
    public:
        virtual ~Events() = default;
        virtual void on_link_up(ShardLink& link, const v1::Welcome& welcome) = 0;
        virtual void on_link_down(ShardLink& link, std::string_view why) = 0;
        virtual void on_link_frame(ShardLink& link, v1::Frame& frame) = 0;
        virtual void on_link_refused(ShardLink& link, const v1::Refused& refused) = 0;
    };

    /// To number `shard` of `shards`; 0: how many there are is to be learnt. `life` is another for each link of a
    /// worker. `events` must outlive this.
    ShardLink(unsigned shard, unsigned shards, std::uint64_t life, v1::Hello hello, LinkTimings timings,
              std::function<std::uint64_t()> random, Events& events);

    [[nodiscard]] unsigned shard() const noexcept { return shard_; }
    [[nodiscard]] std::uint64_t life() const noexcept { return life_; }
    [[nodiscard]] LinkDialer& dialer() noexcept { return dialer_; }
    [[nodiscard]] bool up() const noexcept { return dialer_.up(); }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return dialer_.queued_bytes(); }

    LinkRequests requests;
    std::vector<Feed*> replaying;   // feeds with somebody who is owed a page that wasn't asked for yet
    std::vector<Feed*> announcing;  // feeds of whose members the shard has yet to be told something
    std::vector<Feed*> counting;    // feeds of which the shard has yet to be told how many subscribers they have
    bool surveys = false;           // whether the shard knows of surveys; a weftd of an earlier version doesn't
    bool marks = false;             // and of marks
    bool clients = false;           // and of those about clients

private:
    void on_link_up(const v1::Welcome& welcome, Instant) override { events_.on_link_up(*this, welcome); }
    void on_link_down(std::string_view why, Instant) override { events_.on_link_down(*this, why); }
    void on_link_frame(v1::Frame& frame, Instant) override { events_.on_link_frame(*this, frame); }
    void on_link_refused(const v1::Refused& refused, Instant) override { events_.on_link_refused(*this, refused); }

    unsigned shard_;
    std::uint64_t life_;
    Events& events_;
    LinkDialer dialer_;
};

}  // namespace weft

// How many connections are in the channels of this node, as its workers say, and which channels have any, in the order
// of their names.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <unordered_map>

#include "broker/channel.hpp"
#include "weft/channel.hpp"

namespace weft {

class SubscriberCounts {
public:
    static constexpr std::size_t kMaxPage = 1000;        // channels
    static constexpr std::size_t kMaxExamined = 20'000;  // names that one page looks at

    void on_worker_up(LinkId worker) { workers_.try_emplace(worker); }
    /// After leave() of all its channels.
    void on_worker_down(LinkId worker);

    /// The worker is interested in the channel from now on: with one connection, until it says more. To be called once
    /// before leave(). Links that are no workers are ignored, here and below.
    void enter(LinkId worker, Channel& channel);
    void leave(LinkId worker, Channel& channel);
    /// The channel must have been entered.
    void set(LinkId worker, Channel& channel, std::uint64_t count);
    /// Of the worker, whether they are in channels or not.
    void set_connections(LinkId worker, std::uint64_t count);

    [[nodiscard]] std::size_t channels() const noexcept { return channels_.size(); }
    [[nodiscard]] std::uint64_t subscriptions() const noexcept { return subscriptions_; }
    [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }
    [[nodiscard]] std::uint64_t connections_of(LinkId worker) const noexcept {
        const auto place = workers_.find(worker);
        return place == workers_.end() ? 0 : place->second.connections;
    }

    /// Fills `page.channels` and `page.horizon`. `pattern`: null for all; `limit`: 1 to kMaxPage.
    void read(const ChannelPattern* pattern, std::string_view after, std::size_t limit, v1::ChannelsPage& page) const;

private:
    struct ByName {
        using is_transparent = void;
        bool operator()(const Channel* a, const Channel* b) const noexcept { return a->name < b->name; }
        bool operator()(const Channel* a, std::string_view b) const noexcept { return a->name < b; }
        bool operator()(std::string_view a, const Channel* b) const noexcept { return a < b->name; }
    };
    struct Worker {
        std::unordered_map<const Channel*, std::uint64_t> counts;  // other than 1
        std::uint64_t connections = 0;
    };

    std::unordered_map<LinkId, Worker> workers_;
    std::set<const Channel*, ByName> channels_;  // with subscribers
    std::uint64_t subscriptions_ = 0;
    std::uint64_t connections_ = 0;
};

}  // namespace weft

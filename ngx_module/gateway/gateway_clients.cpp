// What weftd asks a worker about its connections.
#include <algorithm>
#include <vector>

#include "gateway/gateway.hpp"

namespace weft {

namespace {

std::int64_t unix_ms(WallTime time) noexcept {
    return time.time_since_epoch().count();
}

/// Of all that are added the ones with the lowest ids, as many as a page takes.
class FirstClients {
public:
    explicit FirstClients(std::size_t limit) : limit_(limit) {}

    void add(Connection& connection) {
        if (heap_.size() < limit_) {
            heap_.push_back(&connection);
            std::ranges::push_heap(heap_, {}, id_of);
            return;
        }
        more_ = true;
        if (connection.client_id() > heap_.front()->client_id()) return;
        std::ranges::pop_heap(heap_, {}, id_of);
        heap_.back() = &connection;
        std::ranges::push_heap(heap_, {}, id_of);
    }

    /// In order; nothing is to be added any more.
    [[nodiscard]] const std::vector<Connection*>& sorted() {
        std::ranges::sort_heap(heap_, {}, id_of);
        return heap_;
    }
    /// Whether others are behind them.
    [[nodiscard]] bool more() const noexcept { return more_; }

private:
    static std::uint64_t id_of(const Connection* connection) noexcept { return connection->client_id(); }

    std::size_t limit_;
    std::vector<Connection*> heap_;  // the highest id on top
    bool more_ = false;
};

}  // namespace

void Gateway::on_read_clients(ShardLink& link, const v1::ReadClients& read) {
    if (!link_ready(link)) return;  // weftd says that this worker didn't answer
    FirstClients first(std::clamp(read.limit(), 1U, Survey::kMaxLimit));
    const auto look_at = [&](Connection& connection) {
        if (connection.phase() != Connection::Phase::open || !connection.opened_) return;
        if (connection.client_id() <= read.after()) return;
        if (!read.user().empty() && connection.user() != read.user()) return;
        first.add(connection);
    };
    if (read.channel().empty()) {
        host_.visit(look_at);
    } else if (const Feed* const feed = find_feed(read.channel())) {
        for (const Feed::Subscriber& subscriber : feed->subscribers) look_at(*subscriber.connection);
        if (feed->history) {
            feed->history->apart.for_each([&](const Apart& apart) { look_at(*apart.connection); });
        }
    }
    v1::ClientsPage& page = *outgoing_.mutable_clients_page();
    page.Clear();
    page.set_request(read.request());
    for (Connection* const connection : first.sorted()) {
        v1::ClientInfo& client = *page.add_clients();
        const Wire& wire = *connection->wire_;
        client.set_client_id(connection->client_id());
        client.set_user(std::string(connection->user()));
        client.set_transport(std::string(wire.transport()));
        if (!connection->endpoint().echo) client.set_codec(std::string(wire.codec().name()));
        if (const Identity* const identity = connection->identity_.get()) {
            client.set_since_ms(unix_ms(identity->since));
            if (identity->expires_at != Identity::kNever) client.set_expires_ms(unix_ms(identity->expires_at));
        }
        client.set_subscriptions(static_cast<std::uint32_t>(connection->subscriptions_.size()));
        client.set_queued_bytes(connection->queue().bytes());
    }
    if (first.more()) page.set_horizon(page.clients(page.clients_size() - 1).client_id());
    send_link(link, outgoing_);
}

}  // namespace weft

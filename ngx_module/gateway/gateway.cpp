#include "gateway/gateway.hpp"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

namespace weft {

namespace {

constexpr std::size_t kMaxKeptBatches = 1024;  // of a turn, kept with their buffers for the next one

}  // namespace

Gateway::Gateway(v1::Hello hello, LinkTimings timings, const ChannelRules& rules, Counters& counters, Host& host,
                 Instant now, WallTime wall)
    : rules_(rules),
      counters_(counters),
      host_(host),
      now_(now),
      wall_(wall),
      wheel_(now),
      hello_(std::move(hello)),
      timings_(timings) {
    add_link(0, 0);
}

Gateway::~Gateway() = default;

void Gateway::tick() {
    wheel_.advance(now_, [](Timed& timed, Instant) { static_cast<Connection&>(timed).on_deadline(); });
    for (const auto& link : links_) link->dialer().on_tick(now_);
    if (unsent_questions_ > 0) send_questions();
    continue_replays();
    continue_announcing();
    tell_counts();
}

void Gateway::mark_dirty(Connection& connection) {
    if (connection.dirty_) return;
    connection.dirty_ = true;
    dirty_.push_back(&connection);
    if (!turn_scheduled_) {
        turn_scheduled_ = true;
        host_.schedule_turn_end();
    }
}

void Gateway::end_turn() {
    carry_out_decisions();
    for (std::size_t i = 0; i < batches_used_; ++i) {
        if (i + 1 < batches_used_) prefetch(batches_[i + 1]);
        deliver(batches_[i]);
    }
    batches_used_ = 0;
    if (batches_.size() > kMaxKeptBatches) batches_.resize(kMaxKeptBatches);
    for (LateReply& reply : late_replies_) {
        if (reply.connection == nullptr) continue;
        reply.connection->late_reply_ = false;
        if (reply.connection->phase() == Connection::Phase::open) push(*reply.connection, std::move(reply.bytes));
    }
    late_replies_.clear();
    // Flushing may end connections, and that may make others dirty; those wait for the next turn.
    turn_scheduled_ = false;
    std::vector<Connection*> dirty;
    dirty.swap(dirty_);
    // As they stand in memory, and so, by and large, in the order in which they came, which is how the kernel's halves
    // of them stand, too. Neighbours share pages: writing to thousands of sockets takes a tenth less time than in
    // disorder.
    std::ranges::sort(dirty, std::less<>());
    for (std::size_t i = 0; i < dirty.size(); ++i) {
        if (i + 2 < dirty.size()) dirty[i + 2]->prefetch();
        dirty[i]->dirty_ = false;
        host_.flush(*dirty[i]);
    }
    if (dirty_.empty()) {
        dirty.clear();
        dirty_.swap(dirty);  // keep the memory
    }
    if (SendMemory::bytes() > send_memory_) shed_memory();
    continue_replays();
    continue_announcing();
}

void Gateway::add_paused(Connection& connection) {
    if (connection.paused_) return;
    connection.paused_ = true;
    paused_.push_back(&connection);
    counters_.paused.add();
}

void Gateway::resume_paused() {
    look_at_congestion();
    if (congested_ || paused_.empty()) return;
    std::vector<Connection*> paused;
    paused.swap(paused_);
    for (Connection* connection : paused) {
        if (!connection->may_read()) {
            paused_.push_back(connection);
            continue;
        }
        connection->paused_ = false;
        counters_.paused.subtract();
        connection->heard();  // its silence was ours
        host_.read_on(*connection);
    }
}

void Gateway::add_blocked(Connection& connection) {
    if (connection.blocked_slot_ != Connection::kNotBlocked) return;
    connection.blocked_slot_ = static_cast<std::uint32_t>(blocked_.size());
    blocked_.push_back(&connection);
    counters_.blocked.set(blocked_.size());
}

void Gateway::remove_blocked(Connection& connection) noexcept {
    if (connection.blocked_slot_ == Connection::kNotBlocked) return;
    blocked_[connection.blocked_slot_] = blocked_.back();
    blocked_.back()->blocked_slot_ = connection.blocked_slot_;
    blocked_.pop_back();
    connection.blocked_slot_ = Connection::kNotBlocked;
    counters_.blocked.set(blocked_.size());
}

void Gateway::shed_memory() {
    const std::size_t enough = send_memory_ - send_memory_ / 8;
    std::vector<Connection*> worst = blocked_;
    std::sort(worst.begin(), worst.end(),
              [](Connection* a, Connection* b) { return a->queue().bytes() > b->queue().bytes(); });
    for (Connection* connection : worst) {
        if (SendMemory::bytes() <= enough) return;
        if (connection->phase() == Connection::Phase::open) connection->shed(connection->queue().bytes() / 2);
    }
}

tl::expected<std::shared_ptr<const Identity>, event::Error> Gateway::Host::identify(Connection&, std::string_view) {
    return tl::unexpected(event::Error{Code::authentication_failed, "the credentials were not accepted", {}});
}

void Gateway::count_in(Connection& connection) {
    while (connection.client_id_ == 0) connection.client_id_ = host_.random();
    connection.opened_ = true;
    ++open_;
    counters_.accepted.add();
    counters_.active.add();
    connection.heard();
    if (Tally* tally = connection.tally()) tally->opened = now_;
}

void Gateway::open(Connection& connection, std::shared_ptr<const Identity> identity, std::uint64_t decided) {
    carry_out_decisions();  // those of before aren't meant for who comes now
    connection.identity_ = std::move(identity);
    const Identity& who = *connection.identity_;
    if (const auto ban = banned(who)) {
        refuse(connection, *ban);
        return;
    }
    if (revocations_.disconnected(who.user, who.ticket, connection.client_id(), who.since, decided)) {
        refuse(connection, {Code::revoked, "disconnected by the server", {}});
        return;
    }
    count_in(connection);
    if (connection.endpoint().echo) return connection.arm_first();
    let_in(connection, {});
}

void Gateway::greet(Connection& connection, std::string_view id) {
    const EndpointSettings& endpoint = connection.endpoint();
    ServerFrame frame;
    frame.id = id;
    const WallTime end = connection.identity_ ? connection.identity_->expires_at : Identity::kNever;
    frame.body = event::Established{connection.client_id_,
                                    connection.user(),
                                    wall_,
                                    endpoint.heartbeat,
                                    node_,
                                    {endpoint.max_message, endpoint.rate.per_second, endpoint.rate.burst,
                                     endpoint.byte_rate.per_second, endpoint.max_subscriptions, endpoint.max_rpcs},
                                    end == Identity::kNever ? std::nullopt : std::optional(end)};
    connection.greeted_ = true;
    send(connection, frame);
    if (connection.entrance() != nullptr) enter(connection);
}

void Gateway::enter(Connection& connection) {
    const std::vector<Entrance::Channel> channels = std::exchange(connection.entrance()->channels, {});
    connection.entrance()->unanswered = channels.size();
    for (const Entrance::Channel& channel : channels) {
        if (connection.phase() != Connection::Phase::open) return;
        command::Subscribe subscribe{};
        subscribe.channel = channel.name;
        if (channel.position) subscribe.position = *channel.position;
        execute(connection, kEntryId, subscribe);
    }
}

void Gateway::on_entered(Connection& connection) {
    Entrance* const entrance = connection.entrance();
    if (entrance == nullptr || --entrance->unanswered > 0) return;
    if (entrance->home.empty()) connection.rare_->entrance.reset();
}

void Gateway::count_refused(Code code) noexcept {
    switch (code) {
        case Code::too_many_connections: return counters_.too_many.add();
        case Code::banned: return counters_.banned.add();
        case Code::revoked: return counters_.revoked.add();
        default: return counters_.refused.add();
    }
}

void Gateway::refuse(Connection& connection, const event::Error& why) {
    count_refused(why.code);
    connection.opened_ = true;
    ++open_;
    counters_.accepted.add();
    counters_.active.add();
    if (!connection.endpoint().echo) fail(connection, {}, why);
    connection.end(why.code);
}

void Gateway::remove(Connection& connection) {
    detach(connection);
    if (tells_disconnects_ && connection.greeted_) tell_disconnected(connection);
    wheel_.disarm(connection);
    if (connection.dirty_) {
        connection.dirty_ = false;
        std::erase(dirty_, &connection);
    }
    if (connection.paused_) {
        connection.paused_ = false;
        counters_.paused.subtract();
        std::erase(paused_, &connection);
    }
    remove_blocked(connection);
    if (connection.late_reply_) {
        for (LateReply& reply : late_replies_) {
            if (reply.connection == &connection) reply.connection = nullptr;
        }
    }
    if (connection.opened_) {
        connection.opened_ = false;
        --open_;
        counters_.active.subtract();
    }
}

void Gateway::detach(Connection& connection) {
    while (!connection.subscriptions_.empty()) {
        Feed& feed = *connection.subscriptions_.back().feed;
        leave(feed, connection);
        drop_if_unused(feed);
    }
    // Thousands may give up while a back end thinks about them: each knows its questions.
    if (connection.asked_) drop_question(first_link(), asking_.find(&connection)->second.request);
    if (!questions_.empty()) {
        const auto [begin, end] = questions_.equal_range(&connection);
        for (auto one = begin; one != end; ++one) drop_question(*one->second.link, one->second.request);
        questions_.erase(begin, end);
    }
    if (connection.requests_ > 0) {
        for (const auto& link : links_) {
            link->requests.for_each([&connection](Request& request) {
                if (request.connection == &connection) request.connection = nullptr;
            });
        }
        connection.requests_ = 0;
        connection.rpcs_ = 0;
    }
    if (connection.asked_) {
        connection.asked_ = false;
        const auto asking = asking_.find(&connection);
        if (asking->second.request == 0) --unsent_questions_;
        asking_.erase(asking);
    }
}

void Gateway::drop_question(ShardLink& link, std::uint64_t number) noexcept {
    Request* const request = link.requests.find(number);
    if (request == nullptr) return;
    forget(*request);
    request->connection = nullptr;
}

void Gateway::send(Connection& connection, const ServerFrame& frame) {
    if (connection.phase() != Connection::Phase::open) return;
    encode_for(connection, frame);
    if (scratch_.empty()) return;
    push(connection, SharedBytes(scratch_));
}  // NOLINT(clang-analyzer-unix.Malloc): it doesn't follow the references' count

void Gateway::encode_for(Connection& connection, const ServerFrame& frame) {
    scratch_.clear();
    if (frame.id == kEntryId) [[unlikely]] {
        ServerFrame told = frame;
        told.id = {};
        connection.wire_->append(told, scratch_);
        on_entered(connection);
    } else {
        connection.wire_->append(frame, scratch_);
    }
}

void Gateway::send_late(Connection& connection, const ServerFrame& frame) {
    if (connection.phase() != Connection::Phase::open) return;
    encode_for(connection, frame);
    if (scratch_.empty()) return;
    late_replies_.push_back({&connection, SharedBytes(scratch_)});
    connection.late_reply_ = true;
    mark_dirty(connection);
}

void Gateway::push(Connection& connection, SharedBytes chunk, ChunkTag tag) {
    if (chunk.size() == 0) return;  // there is nothing to say of it over this wire
    counters_.messages_out.add(chunk.frames());
    if (Tally* tally = connection.tally()) tally->messages_out += chunk.frames();
    connection.queue().push(std::move(chunk), tag);
    mark_dirty(connection);
}

void Gateway::refuse(Connection& connection, std::string_view id, const event::Error& error, SharedCounter& counter) {
    counter.add();
    fail(connection, id, error);
    connection.strike();
}

void Gateway::fail(Connection& connection, std::string_view id, const event::Error& error) {
    counters_.errors.add();
    ServerFrame frame;
    frame.id = id;
    frame.body = error;
    send(connection, frame);
    if (id == kEntryId) connection.end(error.code);
}

}  // namespace weft

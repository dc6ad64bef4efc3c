// The broker as links see it. It gives each session a LinkId, carries frames both ways, and remembers which links have
// something to send, so that each is flushed once at the end of a turn of the loop.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/broker.hpp"
#include "weft/time.hpp"

namespace weft {

class BrokerGate final : private Broker::Outbox {
public:
    class Link {
    public:
        virtual ~Link() = default;
        /// Queues an encoded frame. May end the session, but must not call the gate.
        virtual void queue(std::string_view frame, Instant now) = 0;
        /// Hands what is queued to the transport; false when the transport took less than all of it. May end the
        /// session. Must not destroy a link.
        virtual bool flush(Instant now) = 0;
        /// Broker::Outbox::busy().
        [[nodiscard]] virtual bool busy() const noexcept { return false; }

    private:
        friend class BrokerGate;
        bool touched_ = false;
    };

    /// Sees what workers send before the broker does.
    class Filter {
    public:
        virtual ~Filter() = default;
        virtual void on_worker_up(LinkId link) = 0;
        virtual void on_worker_down(LinkId link) = 0;
        /// True when the broker isn't to see it: then reply(), or pass(), follows for what needs an answer.
        virtual bool on_frame(LinkId link, const v1::Frame& frame, Instant now) = 0;
    };

    explicit BrokerGate(BrokerSettings settings);

    /// Before the first link; must stay, or be taken away with null.
    void filter(Filter* filter) noexcept { filter_ = filter; }
    /// To a worker, from the filter.
    void reply(LinkId id, const v1::Frame& frame, Instant now);
    /// To the broker, what the filter had kept; nothing happens when the link is closed.
    void pass(LinkId id, const v1::Frame& frame, Instant now);
    [[nodiscard]] bool knows(const v1::Publish& publish) { return broker_.knows(publish); }

    /// A session is up. `link` must stay until close().
    LinkId open(Link& link, LinkRole role, std::string_view name, LinkGreeting greeting, Instant now);
    /// What a worker's Hello said of channels; before open().
    void rules(const v1::ChannelRules& rules) { broker_.on_rules(rules); }
    [[nodiscard]] bool filled() const noexcept { return broker_.filled(); }
    /// The session is over; nothing happens for an id that is 0 or closed already.
    void close(LinkId id, Instant now);
    void frame(LinkId id, const v1::Frame& frame, Instant now);
    void tick(Instant now);

    /// `link` may have something to send. Cheap, and no harm to call twice.
    void touch(Link& link);
    /// `link` is about to be destroyed.
    void forget(Link& link);

    /// Flushes every touched link; a link that could not send all stays touched. Returns whether any got rid of all.
    bool flush(Instant now);
    [[nodiscard]] bool has_unsent() const noexcept { return !touched_.empty(); }

    [[nodiscard]] Broker::Counts counts() const noexcept { return broker_.counts(); }

private:
    void send(LinkId id, std::string_view frame) override;
    [[nodiscard]] bool busy(LinkId id) const override;

    Broker broker_;
    Filter* filter_ = nullptr;
    std::unordered_map<LinkId, Link*> links_;
    std::vector<Link*> touched_;
    std::vector<Link*> flushing_;
    LinkId next_id_ = 1;
    Instant now_{};  // of the call that the broker is in
};

}  // namespace weft

// Encoding of weft.v1.json. Everything is appended to the caller's string; an Event, written once per publication,
// makes it grow at most once.
#include <cmath>

#include "codec/frame_type.hpp"
#include "codec/json_codec.hpp"
#include "codec/json_object.hpp"

namespace weft {

namespace {

void write_publisher(ObjectWriter& out, const Publisher& publisher) {
    if (!publisher.known()) return;
    ObjectWriter object(out.member("publisher"));
    object.string("user", publisher.user);
    object.client_id(publisher.client_id);
    object.end();
}

void write_member(ObjectWriter& out, const Member& member) {
    out.hex("id", member.id);
    out.client_id(member.client_id);
    if (!member.user.empty()) out.string("user", member.user);
    if (!member.info.empty()) out.json("info", member.info);
}

void write(ObjectWriter& payload, const event::Established& frame) {
    payload.client_id(frame.client_id);
    payload.string("user", frame.user);
    payload.time("server_time", frame.server_time);
    payload.number("heartbeat_ms", frame.heartbeat.count());
    const auto rate = [](double per_second) { return std::isfinite(per_second) ? per_second : 0.0; };
    ObjectWriter limits(payload.member("limits"));
    limits.number("message_size", frame.limits.message_size);
    limits.number("messages_per_second", rate(frame.limits.messages_per_second));
    if (rate(frame.limits.messages_per_second) > 0) limits.number("messages_burst", frame.limits.messages_burst);
    if (rate(frame.limits.bytes_per_second) > 0) {
        limits.number("bytes_per_second", static_cast<std::uint64_t>(std::min(frame.limits.bytes_per_second, 1e15)));
    }
    limits.number("subscriptions", frame.limits.subscriptions);
    limits.number("pending_rpcs", frame.limits.pending_rpcs);
    limits.end();
    if (frame.expires_at) payload.time("expires_at", *frame.expires_at);
    if (!frame.node.empty()) payload.string("node", frame.node);
}

void write(ObjectWriter& payload, const event::Subscribed& frame) {
    payload.string("channel", frame.channel);
    payload.string("position", frame.position);
    payload.boolean("recovered", frame.resumed && frame.recovered);
    payload.number("replay", frame.replay);
    if (frame.members) payload.number("members", *frame.members);
}

void write(ObjectWriter& payload, const event::Unsubscribed& frame) {
    payload.string("channel", frame.channel);
    if (frame.code) payload.code(*frame.code);
}

void write(ObjectWriter& payload, const event::Published& frame) {
    if (!frame.message_id.empty()) payload.string("message_id", frame.message_id);
    if (!frame.position.empty()) payload.string("position", frame.position);
}

void write_publication(ObjectWriter& payload, const event::Event& frame) {
    payload.json("data", frame.data);
    payload.string("position", frame.position);
    payload.string("message_id", frame.message_id);
    payload.time("timestamp", frame.timestamp);
    write_publisher(payload, frame.publisher);
}

void write(ObjectWriter& payload, const event::Event& frame) {
    payload.string("channel", frame.channel);
    write_publication(payload, frame);
}

void write(ObjectWriter& payload, const event::History& frame) {
    payload.string("channel", frame.channel);
    JsonOutput& out = payload.member("events");
    out += '[';
    for (const event::Event& event : frame.events) {
        if (&event != frame.events.data()) out += ',';
        ObjectWriter object(out);
        write_publication(object, event);
        object.end();
    }
    out += ']';
    payload.string("position", frame.position);
    payload.boolean("complete", frame.complete);
    payload.boolean("recovered", !frame.lost);
}

void write(ObjectWriter& payload, const event::Signal& frame) {
    payload.string("channel", frame.channel);
    payload.string("name", frame.name);
    if (!frame.data.empty()) payload.json("data", frame.data);
    write_publisher(payload, frame.publisher);
}

void write(ObjectWriter& payload, const event::Members& frame) {
    payload.string("channel", frame.channel);
    if (frame.listed) {
        JsonOutput& out = payload.member("members");
        out += '[';
        for (const Member& member : frame.members) {
            if (&member != frame.members.data()) out += ',';
            ObjectWriter object(out);
            write_member(object, member);
            object.end();
        }
        out += ']';
    }
    payload.number("count", frame.count);
    if (!frame.listed) return;
    payload.number("users", frame.users);
    payload.boolean("complete", frame.complete);
}

void write(ObjectWriter& payload, const event::MemberChange& frame) {
    payload.string("channel", frame.channel);
    ObjectWriter object(payload.member("member"));
    write_member(object, frame.member);
    object.end();
    payload.boolean(frame.left ? "last" : "first", frame.edge);
    payload.number("count", frame.count);
}

void write(ObjectWriter& payload, const event::PresenceGap& frame) {
    payload.string("channel", frame.channel);
}

void write(ObjectWriter& payload, const event::RpcResponse& frame) {
    payload.json("result", frame.result.empty() ? Json("null") : frame.result);
}

void write(ObjectWriter&, const event::Pong&) {}

void write(ObjectWriter& payload, const event::Refreshed& frame) {
    payload.time("expires_at", frame.expires_at);
}

void write(ObjectWriter& payload, const event::Gap& frame) {
    payload.string("channel", frame.channel);
}

void write(ObjectWriter& payload, const event::Reconnect& frame) {
    payload.number("after_ms", frame.after.count());
    payload.string("reason", frame.reason);
}

void write(ObjectWriter& payload, const event::Error& frame) {
    payload.code(frame.code);
    payload.string("message", frame.message);
    if (frame.retry_after.count() > 0) payload.number("retry_after_ms", frame.retry_after.count());
}

/// An Event's size, but for what escaping adds; other frames are short.
std::size_t likely_size(const ServerFrame& frame) {
    constexpr std::size_t kFrameAndNames = 256;
    const auto* event = std::get_if<event::Event>(&frame.body);
    if (event == nullptr) return kFrameAndNames;
    return kFrameAndNames + event->channel.size() + event->data.size() + event->position.size() +
           event->message_id.size() + event->publisher.user.size();
}

}  // namespace

void JsonCodec::encode(const ServerFrame& frame, std::string& out) const {
    out.reserve(out.size() + likely_size(frame));
    append_object(out, [&](ObjectWriter& envelope) {
        std::visit(
            [&](const auto& body) {
                envelope.string("type", name_of(body));
                if (!frame.id.empty()) envelope.string("id", frame.id);
                ObjectWriter payload(envelope.member("payload"));
                write(payload, body);
                payload.end();
            },
            frame.body);
    });
}

}  // namespace weft

// What server frames are called, wherever a name is written.
#pragma once

#include <string_view>
#include <variant>

#include "codec/message.hpp"

namespace weft {

constexpr std::string_view name_of(const event::Established&) {
    return "connection_established";
}
constexpr std::string_view name_of(const event::Subscribed&) {
    return "subscribed";
}
constexpr std::string_view name_of(const event::Unsubscribed&) {
    return "unsubscribed";
}
constexpr std::string_view name_of(const event::Published&) {
    return "published";
}
constexpr std::string_view name_of(const event::Event&) {
    return "event";
}
constexpr std::string_view name_of(const event::History&) {
    return "history";
}
constexpr std::string_view name_of(const event::Signal&) {
    return "signal";
}
constexpr std::string_view name_of(const event::Members&) {
    return "presence";
}
constexpr std::string_view name_of(const event::MemberChange& change) {
    return change.left ? "leave" : "join";
}
constexpr std::string_view name_of(const event::PresenceGap&) {
    return "presence_gap";
}
constexpr std::string_view name_of(const event::RpcResponse&) {
    return "rpc_response";
}
constexpr std::string_view name_of(const event::Pong&) {
    return "pong";
}
constexpr std::string_view name_of(const event::Refreshed&) {
    return "refreshed";
}
constexpr std::string_view name_of(const event::Gap&) {
    return "gap";
}
constexpr std::string_view name_of(const event::Reconnect&) {
    return "reconnect";
}
constexpr std::string_view name_of(const event::Error&) {
    return "error";
}

inline std::string_view frame_type(const ServerFrame& frame) noexcept {
    return std::visit([](const auto& body) { return name_of(body); }, frame.body);
}

}  // namespace weft

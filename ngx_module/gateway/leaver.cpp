#include "gateway/leaver.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/channel.hpp"

namespace weft {

namespace {

constexpr std::int64_t kLastMs = std::int64_t{1} << 53;  // of Unix time: one can still add to it, and subtract

bool is_time(std::int64_t ms) noexcept {
    return -kLastMs <= ms && ms <= kLastMs;
}

bool is_sound(const v1::DeflateTerms& terms) noexcept {
    const auto within = [](std::uint32_t window, std::uint8_t least) {
        return least <= window && window <= websocket::kMaxWindow;
    };
    constexpr std::uint8_t kLeastOfClients = 8;  // DeflateParameters::client_window
    return within(terms.server_window(), websocket::kMinWindow) && within(terms.client_window(), kLeastOfClients);
}

}  // namespace

bool is_sound(const v1::Leaver& leaver) {
    if (leaver.has_deflate() && !is_sound(leaver.deflate())) return false;
    if (!leaver.home().empty() && !is_channel_name(leaver.home())) return false;
    const auto count = static_cast<std::size_t>(leaver.subscriptions_size());
    if (count > kMostSubscriptions) return false;
    std::vector<std::string_view> channels;
    channels.reserve(count);
    for (const v1::Leaver::Subscription& subscription : leaver.subscriptions()) {
        if (!is_channel_name(subscription.channel())) return false;
        channels.push_back(subscription.channel());
    }
    std::ranges::sort(channels);
    return std::ranges::adjacent_find(channels) == channels.end();
}

void write_identity(const Identity& identity, v1::LeaverIdentity& said) {
    said.set_user(identity.user);
    identity.grants.for_each(
        [&said](const std::string& pattern, std::uint8_t actions, bool denied) {
            v1::LeaverIdentity::Channels& channels = *said.add_channels();
            channels.set_pattern(pattern);
            channels.set_actions(actions);
            channels.set_denied(denied);
        },
        [&said](const std::string& pattern, bool denied) {
            v1::LeaverIdentity::Methods& methods = *said.add_methods();
            methods.set_pattern(pattern);
            methods.set_denied(denied);
        });
    if (identity.expires_at != Identity::kNever) said.set_expires_ms(identity.expires_at.time_since_epoch().count());
    said.set_ticket(identity.ticket);
    said.set_since_ms(identity.since.time_since_epoch().count());
    if (identity.info) said.set_info(*identity.info);
}

std::shared_ptr<const Identity> read_identity(const v1::LeaverIdentity& said) {
    if (!is_time(said.expires_ms()) || !is_time(said.since_ms())) return nullptr;
    auto identity = std::make_shared<Identity>();
    identity->user = said.user();
    for (const auto& channels : said.channels()) {
        const std::string sign = channels.denied() ? "!" : "";
        if (!identity->grants.add_channels(sign + channels.pattern(), static_cast<std::uint8_t>(channels.actions()))) {
            return nullptr;
        }
    }
    for (const auto& methods : said.methods()) {
        const std::string sign = methods.denied() ? "!" : "";
        if (!identity->grants.add_methods(sign + methods.pattern())) return nullptr;
    }
    identity->grants.share();
    if (said.has_expires_ms()) identity->expires_at = WallTime(std::chrono::milliseconds(said.expires_ms()));
    identity->ticket = said.ticket();
    identity->since = WallTime(std::chrono::milliseconds(said.since_ms()));
    if (said.has_info()) identity->info = std::make_unique<const std::string>(said.info());
    return identity;
}

WebSocketSpeech read_speech(const v1::Leaver& leaver, WireTable& wires, const websocket::DeflateSettings& own) {
    WebSocketSpeech speech{&wires.plain(leaver.subprotocol()), std::nullopt};
    if (!leaver.has_deflate()) return speech;
    websocket::DeflateParameters& agreed = speech.deflate.emplace();
    agreed.server_takeover = leaver.deflate().server_takeover();
    agreed.client_takeover = leaver.deflate().client_takeover();
    agreed.server_window = static_cast<std::uint8_t>(leaver.deflate().server_window());
    agreed.client_window = static_cast<std::uint8_t>(leaver.deflate().client_window());
    if (agreed.server_takeover) return speech;
    websocket::DeflateSettings settings = own;
    settings.window = agreed.server_window;
    // Where there is no room for another wire, what is sent isn't compressed; what the client sends may be all the
    // same.
    if (WebSocketWire* const compressed = wires.compressed(*speech.wire, settings)) speech.wire = compressed;
    return speech;
}

StreamWire* read_stream(const v1::Leaver& leaver, WireTable& wires) {
    const bool sse = leaver.door() == v1::Leaver::SSE;
    if (!sse && leaver.door() != v1::Leaver::LINES) return nullptr;
    const auto kind = sse ? StreamWire::Kind::sse : StreamWire::Kind::lines;
    if (!StreamWire::fits(kind, wires.plain(leaver.subprotocol()).codec())) return nullptr;
    return wires.stream(kind, leaver.subprotocol());
}

}  // namespace weft

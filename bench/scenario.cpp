#include "scenario.hpp"

#include <algorithm>

#include "clock.hpp"

namespace weft::bench {

void open_all(Swarm& swarm, const Options& options, Role role, std::size_t count,
              const std::function<std::uint32_t(std::size_t)>& channel_of, const std::string& lost) {
    std::size_t opened = 0;
    std::size_t seen_opened = 0;
    std::size_t seen_opening = 0;
    std::uint64_t progress_at = now_ns();
    while (opened < count || swarm.opening() > 0) {
        while (opened < count && swarm.opening() < options.concurrency) swarm.open(role, channel_of(opened++));
        swarm.turn(100 * kMillisecond);
        if (!lost.empty()) throw ScenarioError("connection " + std::to_string(opened) + ": " + lost);
        if (opened != seen_opened || swarm.opening() != seen_opening) {
            seen_opened = opened;
            seen_opening = swarm.opening();
            progress_at = now_ns();
        }
        if (now_ns() - progress_at > 10 * kSecond) throw ScenarioError("no connection got ready for 10 s");
    }
}

void probe_until_all_hear(Swarm& swarm, std::span<Connection* const> subscribers,
                          std::span<Connection* const> publishers, std::uint32_t payload_size) {
    Payload payload(payload_size);
    for (Connection* subscriber : subscribers) subscriber->probed = false;
    const std::uint64_t deadline = now_ns() + 20 * kSecond;
    while (true) {
        std::vector<std::uint32_t> deaf;
        for (const Connection* subscriber : subscribers) {
            if (!subscriber->probed) deaf.push_back(subscriber->channel);
        }
        std::sort(deaf.begin(), deaf.end());
        deaf.erase(std::unique(deaf.begin(), deaf.end()), deaf.end());
        if (now_ns() > deadline)
            throw ScenarioError("channels that deliver nothing after 20 s: " + std::to_string(deaf.size()));
        for (const std::uint32_t channel : deaf) {
            swarm.publish(*publishers[channel % publishers.size()], channel, payload.with({kProbe, channel, now_ns()}));
        }
        swarm.flush();
        const std::uint64_t until = now_ns() + 200 * kMillisecond;
        for (std::uint64_t now = now_ns(); now < until; now = now_ns()) swarm.turn(until - now);
        if (deaf.empty()) return;
    }
}

}  // namespace weft::bench

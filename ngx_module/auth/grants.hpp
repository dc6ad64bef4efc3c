// What a connection may do, as its ticket says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/channel.hpp"

namespace weft {

enum class Action : std::uint8_t { subscribe = 1, publish = 2, signal = 4, presence = 8, history = 16 };

/// "subscribe"; empty for none.
std::string_view name_of(Action action) noexcept;

class Grants {
public:
    static constexpr std::size_t kMaxPatterns = 256;  // of channels and methods together

    /// Adds a channel pattern with a set of Action bits; several patterns that match add up.
    void add_channels(ChannelPattern pattern, std::uint8_t actions);
    void add_methods(MethodPattern pattern);

    [[nodiscard]] bool allows(Action action, std::string_view channel) const noexcept;
    [[nodiscard]] bool allows_rpc(std::string_view method) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return channels_.size() + methods_.size(); }

private:
    struct ChannelGrant {
        ChannelPattern pattern;
        std::uint8_t actions;
    };
    std::vector<ChannelGrant> channels_;
    std::vector<MethodPattern> methods_;
};

}  // namespace weft

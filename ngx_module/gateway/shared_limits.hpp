// What the workers of one nginx limit together, as a gateway sees it.
#pragma once

#include <cstdint>
#include <string_view>

#include "gateway/refusals.hpp"
#include "limit/shared_rates.hpp"

namespace weft {

/// How many connections of all workers are in a channel whose rule bounds that.
class ChannelMembers {
public:
    virtual ~ChannelMembers() = default;
    /// Counts one more of this worker, unless there are `most` in all.
    virtual bool enter(std::string_view channel, std::uint32_t most) = 0;
    /// One less of those that enter() admitted.
    virtual void leave(std::string_view channel) noexcept = 0;
};

/// Where something isn't there, nothing is limited by it.
struct SharedLimits {
    SharedRates* rates = nullptr;
    ChannelMembers* members = nullptr;
    Refusals* refusals = nullptr;
};

}  // namespace weft

// The services that are registered: which methods they answer, and whose turn it is.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "weft/channel.hpp"
#include "weft/time.hpp"
#include "weft/v1/service.pb.h"

namespace weft {

/// One connection of one service, in the life of a process; never 0.
using ServiceId = std::uint64_t;

class Services {
public:
    static constexpr std::size_t kMax = 1'024;
    static constexpr int kMaxMethods = 64;  // patterns of one service
    static constexpr std::size_t kMaxName = 64;
    static constexpr std::uint32_t kDefaultCapacity = 64;
    static constexpr std::uint32_t kMaxCapacity = 65'536;

    struct Service {
        std::string name;
        std::vector<MethodPattern> methods;
        std::uint32_t capacity = 0;
        std::uint32_t outstanding = 0;
        std::uint64_t calls = 0;  // that it was given
        bool leaving = false;     // wants no more
        Instant heard{};
        std::uint64_t turn = 0;  // when it was last chosen, among choices
    };

    /// Registers a service, or what it says anew. The error says what is wrong with what it asks for.
    tl::expected<void, std::string> add(ServiceId id, const v1::Register& wanted, Instant now);
    void remove(ServiceId id) { services_.erase(id); }
    [[nodiscard]] Service* find(ServiceId id);

    struct Choice {
        ServiceId id = 0;    // 0: none
        bool known = false;  // a service has the method; if none is chosen, those are all busy
    };
    /// Of the services that have the method the one with the fewest calls outstanding, and among those the one whose
    /// turn is longest ago. Looks at every pattern of every service.
    [[nodiscard]] Choice choose(std::string_view method);

    [[nodiscard]] bool empty() const noexcept { return services_.empty(); }
    /// In the order of their ids, so that whatever is done for each is done in the same order every time.
    [[nodiscard]] const std::map<ServiceId, Service>& all() const noexcept { return services_; }

private:
    std::map<ServiceId, Service> services_;
    std::uint64_t turns_ = 0;
};

}  // namespace weft

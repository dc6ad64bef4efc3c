#include "call/services.hpp"

#include <algorithm>
#include <utility>

namespace weft {

tl::expected<void, std::string> Services::add(ServiceId id, const v1::Register& wanted, Instant now) {
    if (wanted.name().empty() || wanted.name().size() > kMaxName) {
        return tl::unexpected("a service's name has 1 to " + std::to_string(kMaxName) + " bytes");
    }
    if (wanted.methods().empty() || wanted.methods_size() > kMaxMethods) {
        return tl::unexpected("a service has 1 to " + std::to_string(kMaxMethods) + " patterns of methods");
    }
    if (wanted.capacity() > kMaxCapacity) {
        return tl::unexpected("a service's capacity is at most " + std::to_string(kMaxCapacity));
    }
    Service service;
    for (const std::string& text : wanted.methods()) {
        auto pattern = MethodPattern::parse(text);
        if (!pattern) return tl::unexpected(std::move(pattern.error()));
        if (text.starts_with("weft."))
            return tl::unexpected(std::string("weftd itself answers the methods \"weft.*\""));
        service.methods.push_back(std::move(*pattern));
    }
    const auto known = services_.find(id);
    if (known == services_.end() && services_.size() >= kMax) {
        return tl::unexpected("this node has its maximum of " + std::to_string(kMax) + " services");
    }
    service.name = wanted.name();
    service.capacity = wanted.capacity() == 0 ? kDefaultCapacity : wanted.capacity();
    service.heard = now;
    if (known != services_.end()) {
        service.outstanding = known->second.outstanding;
        service.calls = known->second.calls;
    }
    services_.insert_or_assign(id, std::move(service));
    return {};
}

Services::Service* Services::find(ServiceId id) {
    const auto place = services_.find(id);
    return place == services_.end() ? nullptr : &place->second;
}

Services::Choice Services::choose(std::string_view method) {
    Choice choice;
    Service* best = nullptr;
    for (auto& [id, service] : services_) {
        if (service.leaving) continue;
        if (std::ranges::none_of(service.methods, [&](const MethodPattern& one) { return one.matches(method); })) {
            continue;
        }
        choice.known = true;
        if (service.outstanding >= service.capacity) continue;
        if (best != nullptr &&
            std::pair(best->outstanding, best->turn) <= std::pair(service.outstanding, service.turn)) {
            continue;
        }
        best = &service;
        choice.id = id;
    }
    if (best != nullptr) best->turn = ++turns_;
    return choice;
}

}  // namespace weft

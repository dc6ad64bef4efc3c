// What the parts of the simulated mesh call things, and the times that they go by.
#pragma once

#include <chrono>
#include <string>

#include "weft/link_session.hpp"
#include "weft/position.hpp"

namespace weft::simulation {

inline constexpr LinkTimings kTimings{std::chrono::milliseconds(1000), std::chrono::milliseconds(3000),
                                      std::chrono::milliseconds(10000)};

inline std::string node_name(std::size_t index) {
    return std::string(1, static_cast<char>('a' + index));
}

/// Of what brokers said, so it is one.
inline Position parse(const std::string& text) {
    auto position = Position::parse(text);
    return position ? *position : Position{};
}

}  // namespace weft::simulation

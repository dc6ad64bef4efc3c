// Runs of a simulation, one after the other, each from its seed: as many as a test wants, or as the environment says.
//   WEFT_SIM_SEED=n    the seed n alone, as a failed test asks for
//   WEFT_SIM_SEEDS=n   n seeds
//   WEFT_SIM_FIRST=n   from seed n on, so that several processes share them
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

/// Mostly few, since most goes wrong between two or three; 7 at most.
inline std::size_t some_nodes(SimulatedWorld& world) {
    return world.chance(0.2) ? 5 + world.below(3) : 2 + world.below(3);
}

/// How a run ended. A scenario's own Outcome has it as its base.
struct Ending {
    std::string violation;  // empty: none
    std::string trace;
};

inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// `run` takes a seed and returns an Ending, or what derives from it; `count` is given each that broke no rule. Stops
/// at the first that did, and prints how it came to that.
template <class Run, class Count>
void run_seeds(std::uint64_t otherwise, Run run, Count count) {
    const std::uint64_t only = number_from_environment("WEFT_SIM_SEED", 0);
    const std::uint64_t first = only != 0 ? only : number_from_environment("WEFT_SIM_FIRST", 1);
    const std::uint64_t seeds = only != 0 ? 1 : number_from_environment("WEFT_SIM_SEEDS", otherwise);
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const auto ending = run(seed);
        ASSERT_EQ(ending.violation, "") << "WEFT_SIM_SEED=" << seed << " shows it; it came so:\n" << ending.trace;
        count(ending);
    }
}

/// A planted bug, and the rule that must be found broken: how the violation begins.
struct Sabotage {
    const char* name;
    Bug bug;
    const char* rule;
};

inline std::string name_of(const testing::TestParamInfo<Sabotage>& info) {
    return info.param.name;
}

/// The checks are worth nothing if they pass whatever the broker does. Some of the seeds may give the bug no occasion.
template <class Run>
void expect_found_out(const Sabotage& sabotage, std::uint64_t seeds, Run run) {
    std::size_t found = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Ending ending = run(seed, sabotage.bug);
        if (ending.violation.empty()) continue;
        ++found;
        EXPECT_EQ(ending.violation.substr(0, std::string(sabotage.rule).size()), sabotage.rule) << "seed " << seed;
    }
    EXPECT_GE(found, 3u);
}

}  // namespace weft::simulation

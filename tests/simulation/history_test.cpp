// Channels with history in meshes under faults, with readers that go from node to node; each run follows from one seed
// (seeds.hpp).
//
//   P1  a reader gets what one node accepted of one publisher in order, through resumes and all
//   P2  none twice, on whatever nodes it was meanwhile
//   P3  and everything that any node still knows of; or it is told of a loss
//   P5  after the faults all nodes hold the same history
#include <gtest/gtest.h>

#include <cstdio>

#include "simulation/seeds.hpp"

namespace weft::simulation {
namespace {

using namespace std::chrono_literals;

enum class Faults { one_at_a_time, any };

struct Outcome : Ending {
    std::size_t losses, delivered, replayed;
};

void let_something_go_wrong(SimulatedWorld& world, SimulatedMesh& mesh) {
    switch (world.below(10)) {
        case 0: return mesh.drop_a_connection();
        case 1: return mesh.partition_two_nodes(world.between(200ms, 8000ms));
        case 2:
        case 3: return mesh.crash_a_node(world.between(50ms, 4000ms));
        case 4: return mesh.crash_a_worker();
        case 5: mesh.weather.loss = world.chance(0.5) ? 0.02 : 0.2; break;
        case 6: mesh.weather.max_delay = world.between(5ms, 1500ms); break;
        case 7: mesh.weather = {}; break;
        default: return mesh.move_a_reader();
    }
}

Outcome run(std::uint64_t seed, Faults faults, Bug bug = Bug::none) {
    SimulatedWorld world(seed);
    MeshPlan plan;
    plan.nodes = faults == Faults::any ? some_nodes(world) : 2 + world.below(3);
    plan.workers_per_node = 1;
    plan.channels = 1;
    plan.kept_channels = 1 + world.below(2);
    plan.history_count = faults == Faults::any && world.chance(0.5) ? 30 : 100'000;
    plan.readers = 3;
    plan.bug = bug;
    SimulatedMesh mesh(world, plan);
    world.run_for(5s);
    mesh.set_busy(true, false);
    for (int i = 0; i < 14 && mesh.violation().empty(); ++i) {
        if (faults == Faults::any) {
            let_something_go_wrong(world, mesh);
        } else {
            if (i % 3 == 0) mesh.crash_a_node(world.between(50ms, 2000ms));
            world.run_for(6s);
            mesh.move_a_reader();
        }
        world.run_for(world.between(100ms, 2500ms));
    }
    mesh.heal();
    world.run_for(2s);
    mesh.set_busy(false, false);
    world.run_for(15s);  // longer than any timeout or back-off of a link, and two intervals of anti-entropy
    if (mesh.violation().empty()) mesh.check_histories();
    return {{mesh.violation(), world.trace()}, mesh.losses_told(), mesh.delivered(), mesh.replayed()};
}

TEST(MeshHistory, KeepsThePromisesWhateverFails) {
    std::size_t losses = 0, delivered = 0, replayed = 0;
    run_seeds(
        200, [](std::uint64_t seed) { return run(seed, Faults::any); },
        [&](const Outcome& outcome) {
            losses += outcome.losses;
            delivered += outcome.delivered;
            replayed += outcome.replayed;
        });
    EXPECT_GT(delivered, replayed);
    EXPECT_GT(replayed, 0u);
    std::printf("%zu delivered, %zu of them from history, %zu losses told\n", delivered, replayed, losses);
}

TEST(MeshHistory, TellsNoLossWhenOneNodeAtATimeIsKilled) {
    std::size_t replayed = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        const Outcome outcome = run(seed, Faults::one_at_a_time);
        ASSERT_EQ(outcome.violation, "") << "seed " << seed << "\n" << outcome.trace;
        EXPECT_EQ(outcome.losses, 0u) << "seed " << seed << "\n" << outcome.trace;
        replayed += outcome.replayed;
    }
    EXPECT_GT(replayed, 0u);
}

class SabotagedHistory : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedHistory, IsFoundOut) {
    expect_found_out(GetParam(), 40, [](std::uint64_t seed, Bug bug) { return run(seed, Faults::any, bug); });
}

INSTANTIATE_TEST_SUITE_P(Every, SabotagedHistory,
                         testing::Values(Sabotage{"SkippedRange", Bug::skip_range, "P3"},
                                         Sabotage{"SkippedRangeBetweenPeers", Bug::skip_peer_range, ""},
                                         Sabotage{"HiddenLoss", Bug::hide_lost, "P3"},
                                         Sabotage{"ForgottenDedup", Bug::forget_dedup, "P2"},
                                         Sabotage{"LiveBeforeHistory", Bug::live_before_history, "P"},
                                         Sabotage{"NoAntiEntropy", Bug::no_digests, ""}),
                         name_of);

}  // namespace
}  // namespace weft::simulation

// Clients that are handed from worker to worker by marks, all the time, in meshes under faults (seeds.hpp).
//
//   P1  a client gets the publications of one publisher to one channel in order, at however many workers it was
//   P2  and none of them twice
//   P3  everything, or it is told of a gap; and of none when nothing fails but that it is moved
#include <gtest/gtest.h>

#include <cstdio>

#include "simulation/seeds.hpp"

namespace weft::simulation {
namespace {

using namespace std::chrono_literals;

struct Outcome : Ending {
    std::size_t gaps, delivered, handed_over;
};

void let_something_go_wrong(SimulatedWorld& world, SimulatedMesh& mesh) {
    switch (world.below(9)) {
        case 0:
        case 1:
        case 2: return mesh.drop_a_connection();
        case 3: return mesh.partition_two_nodes(world.between(200ms, 6000ms));
        case 4: return mesh.crash_a_node(world.between(50ms, 4000ms));
        case 5: return mesh.crash_a_host();
        case 6: mesh.weather.loss = world.chance(0.5) ? 0.02 : 0.1; break;
        case 7: mesh.weather.max_delay = world.between(5ms, 500ms); break;
        case 8: mesh.weather = {}; break;
    }
}

Outcome run(std::uint64_t seed, Bug bug = Bug::none, bool calm = false) {
    SimulatedWorld world(seed);
    MeshPlan plan;
    plan.nodes = 2 + world.below(2);
    plan.workers_per_node = 1;
    plan.channels = 1 + world.below(3);
    plan.parties = true;
    plan.bug = bug;
    SimulatedMesh mesh(world, plan);

    world.run_for(4s);
    mesh.set_busy(true, false);
    for (int i = 0; i < 12 && mesh.violation().empty(); ++i) {
        if (!calm) let_something_go_wrong(world, mesh);
        world.run_for(world.between(100ms, 2500ms));
    }
    mesh.heal();
    world.run_for(2s);
    mesh.set_busy(false, false);
    world.run_for(12s);  // longer than any timeout or back-off of a link
    if (mesh.violation().empty()) mesh.publish_everywhere();
    world.run_for(2s);
    if (mesh.violation().empty()) mesh.check_parties();
    return {{mesh.violation(), world.trace()}, mesh.gaps_told(), mesh.delivered(), mesh.handed_over()};
}

TEST(MeshHandover, LosesNothingInSilenceWhateverFails) {
    std::size_t delivered = 0, handed_over = 0;
    run_seeds(
        100, [](std::uint64_t seed) { return run(seed); },
        [&](const Outcome& outcome) {
            delivered += outcome.delivered;
            handed_over += outcome.handed_over;
        });
    EXPECT_GT(delivered, 0u);
    EXPECT_GT(handed_over, 0u);
    std::printf("%zu clients handed over, %zu publications delivered to them\n", handed_over, delivered);
}

TEST(MeshHandover, TellsNoGapsWhenNothingFails) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const Outcome outcome = run(seed, Bug::none, true);
        ASSERT_EQ(outcome.violation, "") << "seed " << seed << "\n" << outcome.trace;
        EXPECT_EQ(outcome.gaps, 0u) << "seed " << seed << "\n" << outcome.trace;
        EXPECT_GT(outcome.handed_over, 100u);
    }
}

class SabotagedHandover : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedHandover, IsFoundOut) {
    expect_found_out(GetParam(), 15, [](std::uint64_t seed, Bug bug) { return run(seed, bug); });
}

INSTANTIATE_TEST_SUITE_P(Every, SabotagedHandover,
                         testing::Values(Sabotage{"MisplacedMark", Bug::misplace_mark, "P"},
                                         Sabotage{"DuplicatedPublication", Bug::duplicate_publication, "P2"}),
                         name_of);

}  // namespace
}  // namespace weft::simulation

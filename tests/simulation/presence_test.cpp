// Rooms whose members come and go at all nodes of meshes under faults (seeds.hpp).
//
//   P5  after the faults every node knows the same members, and they are those that are there
//   and whoever was told of joins and leaves knows the same
#include <gtest/gtest.h>

#include <cstdio>

#include "simulation/seeds.hpp"

namespace weft::simulation {
namespace {

using namespace std::chrono_literals;

struct Outcome : Ending {
    std::size_t moves;
};

void let_something_go_wrong(SimulatedWorld& world, SimulatedMesh& mesh) {
    switch (world.below(8)) {
        case 0: return mesh.drop_a_connection();
        case 1: return mesh.partition_two_nodes(world.between(200ms, 8000ms));
        case 2:
        case 3: return mesh.crash_a_node(world.between(50ms, 4000ms));
        case 4: return mesh.crash_a_crowd();
        case 5: mesh.weather.loss = world.chance(0.5) ? 0.02 : 0.2; break;
        case 6: mesh.weather.max_delay = world.between(5ms, 1500ms); break;
        case 7: mesh.weather = {}; break;
    }
}

Outcome run(std::uint64_t seed, Bug bug = Bug::none) {
    SimulatedWorld world(seed);
    MeshPlan plan;
    plan.nodes = some_nodes(world);
    plan.workers_per_node = 0;
    plan.rooms = 1 + world.below(2);
    plan.bug = bug;
    SimulatedMesh mesh(world, plan);
    world.run_for(6s);
    mesh.set_busy(true, false);
    for (int i = 0; i < 12 && mesh.violation().empty(); ++i) {
        let_something_go_wrong(world, mesh);
        world.run_for(world.between(100ms, 2500ms));
    }
    mesh.heal();
    world.run_for(2s);
    mesh.set_busy(false, false);
    // Longer than any timeout of a link, the wait of a node that starts, the time-out of members, and their lingering.
    world.run_for(20s);
    if (mesh.violation().empty()) mesh.check_members();
    return {{mesh.violation(), world.trace()}, mesh.moves()};
}

TEST(MeshPresence, IsExactAfterWhateverFailed) {
    std::size_t moves = 0;
    run_seeds(
        200, [](std::uint64_t seed) { return run(seed); }, [&](const Outcome& outcome) { moves += outcome.moves; });
    EXPECT_GT(moves, 0u);
    std::printf("%zu joins and leaves\n", moves);
}

class SabotagedPresence : public testing::TestWithParam<Sabotage> {};

TEST_P(SabotagedPresence, IsFoundOut) {
    expect_found_out(GetParam(), 15, [](std::uint64_t seed, Bug bug) { return run(seed, bug); });
}

INSTANTIATE_TEST_SUITE_P(Every, SabotagedPresence,
                         testing::Values(Sabotage{"ForgottenMember", Bug::forget_member, "P5"},
                                         Sabotage{"Ghost", Bug::keep_ghost, "P5"},
                                         Sabotage{"LostChangeOfAPeer", Bug::lose_member_change, "P5"},
                                         Sabotage{"MemberMissingInAPeersSet", Bug::skip_peer_member, "P5"}),
                         name_of);

}  // namespace
}  // namespace weft::simulation

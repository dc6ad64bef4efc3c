// Publishers that repeat, under the same id and at whatever node, until they are acknowledged at `ack peer`, in meshes
// under faults (seeds.hpp).
//
//   P2  however often and wherever a publication was asked for, no reader gets it twice, and no history gives it twice
//   P4  what was acknowledged is there in the end, whichever single node was killed
#include <gtest/gtest.h>

#include <cstdio>

#include "simulation/seeds.hpp"

namespace weft::simulation {
namespace {

using namespace std::chrono_literals;

enum class Faults { one_node_at_a_time, any };

struct Outcome : Ending {
    std::size_t sent, acknowledged, taken_twice;
};

void let_something_go_wrong(SimulatedWorld& world, SimulatedMesh& mesh) {
    switch (world.below(9)) {
        case 0: return mesh.drop_a_connection();
        case 1:
        case 2: return mesh.partition_two_nodes(world.between(200ms, 8000ms));
        case 3: return mesh.crash_a_node(world.between(50ms, 4000ms));
        case 4: mesh.weather.loss = world.chance(0.5) ? 0.02 : 0.2; break;
        case 5: mesh.weather.max_delay = world.between(5ms, 1500ms); break;
        case 6: mesh.weather = {}; break;
        case 7: return mesh.move_a_publisher();
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
    plan.history_count = 100'000;
    plan.readers = 3;
    plan.publishers = 4;
    plan.bug = bug;
    SimulatedMesh mesh(world, plan);
    world.run_for(5s);
    mesh.set_busy(true, false);
    if (faults == Faults::one_node_at_a_time) mesh.weather.max_delay = 300ms;  // so that a crash finds something
    for (int i = 0; i < 14 && mesh.violation().empty(); ++i) {
        if (faults == Faults::any) {
            let_something_go_wrong(world, mesh);
        } else {
            if (i % 2 == 0) mesh.crash_a_node(world.between(50ms, 2000ms));
            world.run_for(6s);  // a node that comes back fills up
            mesh.move_a_publisher();
            if (world.chance(0.5)) mesh.move_a_reader();
        }
        world.run_for(world.between(100ms, 2500ms));
    }
    mesh.heal();
    world.run_for(2s);
    mesh.set_busy(false, false);
    world.run_for(15s);  // longer than any timeout or back-off of a link, and two intervals of anti-entropy
    if (mesh.violation().empty()) mesh.check_histories();
    if (mesh.violation().empty() && faults == Faults::one_node_at_a_time) mesh.check_acknowledged();
    return {{mesh.violation(), world.trace()}, mesh.sent(), mesh.acknowledged(), mesh.taken_twice()};
}

void run_all(Faults faults, std::uint64_t otherwise) {
    std::size_t sent = 0, acknowledged = 0, twice = 0;
    run_seeds(
        otherwise, [faults](std::uint64_t seed) { return run(seed, faults); },
        [&](const Outcome& outcome) {
            sent += outcome.sent;
            acknowledged += outcome.acknowledged;
            twice += outcome.taken_twice;
        });
    // Much was acknowledged, and more was asked for than that.
    EXPECT_GT(acknowledged, 0u);
    EXPECT_GT(sent, acknowledged);
    std::printf("%zu publishes sent, %zu acknowledged, %zu taken for new by two nodes\n", sent, acknowledged, twice);
}

TEST(MeshAcknowledgement, DeliversWhatIsRepeatedOnceWhateverFails) {
    run_all(Faults::any, 100);
}

TEST(MeshAcknowledgement, LosesNothingAcknowledgedWhenOneNodeAtATimeIsKilled) {
    run_all(Faults::one_node_at_a_time, 60);
}

struct SabotageUnder : Sabotage {
    Faults faults;
};

class SabotagedAcknowledgement : public testing::TestWithParam<SabotageUnder> {};

TEST_P(SabotagedAcknowledgement, IsFoundOut) {
    expect_found_out(GetParam(), 40, [](std::uint64_t seed, Bug bug) { return run(seed, GetParam().faults, bug); });
}

INSTANTIATE_TEST_SUITE_P(Every, SabotagedAcknowledgement,
                         testing::Values(SabotageUnder{{"DedupForgottenAtAnotherNode", Bug::hide_ids, "P2"},
                                                       Faults::any},
                                         SabotageUnder{{"AcknowledgedBeforeAPeerHasIt", Bug::acknowledge_at_once, "P"},
                                                       Faults::one_node_at_a_time}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weft::simulation

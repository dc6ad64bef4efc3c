// Clients of one node's workers that are handed from worker to worker by marks, all the time: what they get must be
// what a client gets that stays where it is. Both workers keep to what link.proto says of Mark.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

/// A client in all channels "chat:…". A worker's Wish serves as what one client has of a channel.
struct PartyGuest {
    std::string name;
    std::map<std::string, SimulatedWorker::Wish> wishes;
    std::map<std::pair<std::uint64_t, std::string>, std::uint64_t> last;  // request, by publisher and channel
};

/// The workers of one node, and their clients.
class SimulatedParty {
public:
    SimulatedParty(SimulatedMesh& mesh, std::size_t node);
    ~SimulatedParty();

    void tick();
    void begin_a_move();
    void crash_a_worker();  ///< its clients are gone with it
    void restock();         ///< so that each worker that lost all has clients again
    void check();           ///< P3, and that nobody is stuck on the way

    [[nodiscard]] std::size_t handed_over() const noexcept { return handed_over_; }

private:
    class Host;
    struct Move {
        Host* from;
        Host* to;
        std::vector<std::size_t> guests;
        bool ready = false;   // the taker is subscribed to everything
        bool asked = false;   // for the mark, in the giver's session
        bool handed = false;  // the guests have left the giver
    };

    void take(PartyGuest& guest, const v1::Frame& frame);
    void settle(PartyGuest& guest, const v1::Subscribed& subscribed);
    void hand_over(std::uint64_t number);
    void abandon(std::uint64_t number);

    SimulatedMesh& mesh_;
    std::size_t node_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::map<std::size_t, PartyGuest> guests_;
    std::size_t next_guest_ = 0;
    std::map<std::uint64_t, Move> moves_;  // by Mark.number
    std::uint64_t next_move_ = 1;
    std::size_t handed_over_ = 0;
};

}  // namespace weft::simulation

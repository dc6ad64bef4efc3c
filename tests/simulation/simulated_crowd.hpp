// A worker whose clients come to rooms and go, and what it is told of those of other workers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

class SimulatedCrowd final : public LinkDialer::Events {
public:
    SimulatedCrowd(SimulatedMesh& mesh, std::size_t node);

    void start();
    /// As a killed worker: all its clients are gone.
    void crash();
    /// Somebody comes, or goes.
    void stir();
    void tick() { end_->tick(); }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Who is in a room by this worker.
    [[nodiscard]] Members members(const std::string& room) const;
    /// The users of all its members, as this worker was told. (A connection may silently take the place of another.)
    [[nodiscard]] std::multiset<std::string> seen(const std::string& room) const;

private:
    void on_link_up(const v1::Welcome&, Instant) override;
    void on_link_down(std::string_view, Instant) override {}
    void on_link_frame(v1::Frame& frame, Instant) override;
    void on_link_refused(const v1::Refused& refused, Instant) override;
    void join(const std::string& room, std::uint64_t client, const std::string& user);
    void read(const std::string& room);

    SimulatedMesh& mesh_;
    std::size_t node_;
    std::string name_;
    std::unique_ptr<DialingEnd> end_;
    std::map<std::string, Members> own_;                                // by room
    std::map<std::string, std::map<std::uint64_t, std::string>> seen_;  // users, by room, by membership
    std::map<std::uint64_t, std::string> reads_;                        // rooms, by request
    std::uint64_t next_request_ = 1;
};

}  // namespace weft::simulation

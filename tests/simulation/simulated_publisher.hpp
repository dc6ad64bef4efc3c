// A client that publishes under ids of its own, one publication after the other, and repeats each until it is
// acknowledged: at the same node after a refusal, or at another when it lost its link.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

class SimulatedPublisher final : public LinkDialer::Events {
public:
    SimulatedPublisher(SimulatedMesh& mesh, std::size_t index);

    void move_to(std::size_t node);
    void tick();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool waiting() const noexcept { return request_ != 0; }

private:
    void on_link_up(const v1::Welcome&, Instant) override;
    void on_link_down(std::string_view why, Instant) override;
    void on_link_frame(v1::Frame& frame, Instant) override;
    void on_link_refused(const v1::Refused& refused, Instant) override;
    void begin();
    void send();

    SimulatedMesh& mesh_;
    std::string name_, channel_;
    std::size_t node_ = 0;
    std::unique_ptr<DialingEnd> end_;
    std::uint64_t request_ = 0;  // of the publication that isn't acknowledged yet; 0: none
    bool sent_ = false;          // and not answered
    Instant again_at_{};
};

}  // namespace weft::simulation

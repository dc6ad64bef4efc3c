// A client of one channel with history, which goes from node to node with its position, and what its worker does for
// it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "gateway/feed_history.hpp"
#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

class SimulatedReader final : public LinkDialer::Events {
public:
    SimulatedReader(SimulatedMesh& mesh, std::size_t index);

    void move_to(std::size_t node);
    void tick();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& channel() const noexcept { return channel_; }
    [[nodiscard]] bool live() const noexcept { return state_ == State::live; }
    [[nodiscard]] bool has(std::uint64_t request) const { return delivered_.contains(request); }
    /// When it was answered first: what is accepted from then on is owed. None: never.
    [[nodiscard]] std::optional<Instant> began_at() const noexcept { return began_at_; }
    [[nodiscard]] const Position& start() const noexcept { return start_; }
    /// When it was last told that something is lost.
    [[nodiscard]] Instant told_at() const noexcept { return told_at_; }

private:
    enum class State { away, asked, reading, live };

    void on_link_up(const v1::Welcome&, Instant) override;
    void on_link_down(std::string_view why, Instant) override;
    void on_link_frame(v1::Frame& frame, Instant) override;
    void on_link_refused(const v1::Refused& refused, Instant) override;
    void on_subscribed(const v1::Subscribed& subscribed);
    void on_page(const v1::HistoryPage& page);
    void on_publication(const v1::Publication& publication, bool replayed);
    void ask_for_page();
    void told(const char* what);

    SimulatedMesh& mesh_;
    std::string name_, channel_;
    std::unique_ptr<DialingEnd> end_;
    State state_ = State::away;
    Standing standing_;
    std::optional<Instant> began_at_;
    Position start_;
    Instant told_at_{};
    std::uint64_t next_request_ = 1;
    using Visit = std::pair<std::size_t, Instant>;  // of a node, in one life of it
    Visit visit_{};
    std::map<std::uint64_t, Visit> delivered_;                          // by request
    std::map<std::pair<std::uint64_t, StreamId>, std::uint64_t> last_;  // request, by publisher and stream
};

}  // namespace weft::simulation

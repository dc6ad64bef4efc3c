// The publications of clients that the publish hook decides about. Those of one client to one channel stand in a line:
// the first of them is asked about, the others wait behind it, so that they are accepted in the order in which they
// came (Promise 1) and the back end hears of them in that order.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "call/back_ends.hpp"

namespace weft {

class Publications {
public:
    /// Both must outlive this.
    Publications(const BackEndSettings& settings, BackEnds::Outbox& outbox) : settings_(settings), outbox_(outbox) {}

    /// False when it is the broker's at once.
    bool on_publish(LinkId link, const v1::Frame& frame);
    void on_hook_answer(const HookAnswer& answer);
    void on_worker_down(LinkId link);

    [[nodiscard]] std::size_t size() const noexcept { return held_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct Line {
        LinkId link = 0;
        std::uint64_t call = 0;        // about the first
        std::deque<v1::Frame> frames;  // never empty between calls
    };
    using Lines = std::map<std::string, Line>;

    [[nodiscard]] bool hooked(const v1::Publish& publish) const;
    void make_key(LinkId link, const v1::Publish& publish);
    bool hold(Line& line, const v1::Frame& frame);
    /// Asks about the first; or goes on with the next, where there is nothing to ask. Removes an empty line.
    void go_on(Lines::iterator place);
    v1::Frame take_first(Line& line);

    const BackEndSettings& settings_;
    BackEnds::Outbox& outbox_;
    Lines lines_;
    std::unordered_map<std::uint64_t, Lines::iterator> by_call_;
    std::string key_;  // what make_key made
    std::size_t held_ = 0, bytes_ = 0;
    std::uint64_t last_id_ = 0;
};

}  // namespace weft

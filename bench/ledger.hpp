// What one subscriber has received of one publisher: enough to tell loss, duplicates and wrong order apart.
#pragma once

#include <cstdint>

namespace weft::bench {

class Ledger {
public:
    enum class Verdict { in_order, ahead, late, duplicate };

    /// Enters publication `number`. A number that is skipped stays missing until it comes late. Lateness is told from
    /// duplication for the last 64 numbers; what is older counts as a duplicate.
    Verdict enter(std::uint32_t number) noexcept {
        if (number == next_) {
            ++next_;
            ++received_;
            window_ = (window_ << 1) | 1;
            return Verdict::in_order;
        }
        return enter_out_of_order(number);
    }

    /// Different publications received.
    [[nodiscard]] std::uint32_t received() const noexcept { return received_; }

private:
    Verdict enter_out_of_order(std::uint32_t number) noexcept {
        if (number > next_) {
            const std::uint32_t step = number - next_ + 1;
            window_ = step < 64 ? (window_ << step) | 1 : 1;
            next_ = number + 1;
            ++received_;
            return Verdict::ahead;
        }
        const std::uint32_t age = next_ - 1 - number;
        if (age >= 64 || ((window_ >> age) & 1) != 0) return Verdict::duplicate;
        window_ |= std::uint64_t{1} << age;
        ++received_;
        return Verdict::late;
    }

    std::uint64_t window_ = 0;  // bit i: next_ - 1 - i was received
    std::uint32_t next_ = 0;    // one above the highest number received
    std::uint32_t received_ = 0;
};

}  // namespace weft::bench

// Which channels keep history, as the workers' nginx.conf says.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "broker/history.hpp"
#include "weft/channel.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

class HistoryRules {
public:
    static constexpr std::size_t kMaxRules = 4096;         // of one nginx.conf; those behind them don't count
    static constexpr std::uint32_t kMaxCount = 1'000'000;  // entries of one channel

    /// Takes over what a worker said in its Hello, unless a later nginx.conf is known. True when anything changed.
    bool update(const v1::ChannelRules& said);

    /// Of the first rule that matches; count 0 when none does, or it keeps no history.
    [[nodiscard]] Retention find(std::string_view channel) const noexcept;

    /// Whether any worker has said its rules yet: weftctl may come before the first does.
    [[nodiscard]] bool known() const noexcept { return version_ > 0; }

    /// Grows with each change: what was found before is to be looked up again.
    [[nodiscard]] std::uint32_t version() const noexcept { return version_; }

    static Retention read(const v1::Retention& said);
    static void write(const Retention& retention, v1::Retention& out);

private:
    struct Rule {
        ChannelPattern pattern;
        Retention retention;
    };
    std::vector<Rule> rules_;
    std::uint64_t generation_ = 0;
    std::uint32_t version_ = 0;
};

}  // namespace weft

// What a process remembers of decisions about clients (v1::Revocation): the newest about each client, until its time is
// over. weftd and workers keep the same, so that either can tell the other.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weft/time.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

class Revocations {
public:
    /// At most so many are remembered. Bans go before others: a disconnect that is forgotten has been done wherever it
    /// could be, and only nodes that come later miss it.
    static constexpr std::size_t kMax = 10'000;
    /// Bytes of grants in all that are remembered; beyond it the oldest decisions that aren't bans go.
    static constexpr std::size_t kMaxGrantBytes = std::size_t{1024} * 1024;
    /// How long a disconnect, an unsubscribe and the end of a ban are remembered.
    static constexpr std::chrono::milliseconds kRemembered{3'600'000};

    explicit Revocations(std::size_t max = kMax) : max_(max) {}

    /// Empty when it makes sense, else what is wrong with it.
    static std::string_view check(const v1::Revocation& revocation);

    /// Gives a decision its times, later than any that is known about the same client. `lasts`: how long a ban holds,
    /// or until connections end that are granted something; of these 0 for as long as before.
    void issue(v1::Revocation& revocation, std::chrono::milliseconds lasts, WallTime now) const;

    enum class Added {
        news,       // to be acted on, and passed on
        known,      // this, or a newer one, is remembered already; or its time is over
        forgotten,  // news, but there is no room to remember it
    };
    Added add(const v1::Revocation& revocation, WallTime now);

    /// What stands for a ticket's `jti` in this process, so that a connection needn't keep it; 0 for the empty one.
    static std::uint64_t ticket_hash(std::string_view ticket) noexcept;

    /// Until when a user, or the ticket with this hash, is banned; zero when neither is.
    [[nodiscard]] WallTime banned_until(std::string_view user, std::uint64_t ticket, WallTime now) const;

    /// How many decisions have been news here: a mark that stands for all that was known at a time.
    [[nodiscard]] std::uint64_t decided() const noexcept { return decided_; }

    /// Whether a disconnect that came after `mark` means somebody who was accepted at `since`, when that mark was
    /// taken, and whose connection nobody could see yet. `ticket` is a ticket_hash(), or 0.
    [[nodiscard]] bool disconnected(std::string_view user, std::uint64_t ticket, std::uint64_t client_id,
                                    WallTime since, std::uint64_t mark) const;

    /// Forgets what is over. Call it now and then; looks at all of them.
    void expire(WallTime now);

    void for_each(const std::function<void(const v1::Revocation&)>& visit) const;
    [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }
    /// How many of them are bans, or ends of bans.
    [[nodiscard]] std::size_t bans() const noexcept { return bans_; }

private:
    using Order = std::list<std::string>;  // keys
    struct Entry {
        v1::Revocation revocation;
        Order::iterator place;     // among those that may be forgotten first; not of bans
        std::uint64_t number = 0;  // decided() when it came
        bool late = false;         // as it came
    };
    static std::string key_of(const v1::Revocation& revocation);
    [[nodiscard]] WallTime ban_until(const std::string& key, WallTime now) const;
    std::unordered_map<std::string, Entry>::iterator forget(std::unordered_map<std::string, Entry>::iterator at);

    std::size_t max_;
    std::unordered_map<std::string, Entry> known_;
    Order fleeting_;  // oldest first
    std::size_t bans_ = 0;
    std::size_t grant_bytes_ = 0;
    std::uint64_t decided_ = 0;
};

}  // namespace weft

#include "weft/revocations.hpp"

#include <algorithm>
#include <functional>

#include "weft/channel.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxSubject = 255;  // bytes of a user or a ticket's id, as in tickets
constexpr std::size_t kMaxGrants = 8192;  // bytes of JSON, as wherever grants stand by themselves

bool is_ban(const v1::Revocation& revocation) {
    return revocation.kind() == v1::Revocation::BAN;
}

std::int64_t ms(WallTime time) {
    return time.time_since_epoch().count();
}

/// `sort` says what the subject is. A channel's name has no NUL in it, so it is clear where the subject ends.
std::string key(v1::Revocation::Kind kind, char sort, std::string_view subject, std::string_view channel = {}) {
    std::string key;
    key.reserve(subject.size() + channel.size() + 3);
    key += static_cast<char>(kind);
    key.append(1, sort).append(subject);
    if (kind == v1::Revocation::UNSUBSCRIBE) key.append(1, '\0').append(channel);
    return key;
}

}  // namespace

std::string_view Revocations::check(const v1::Revocation& revocation) {
    const int subjects = (revocation.user().empty() ? 0 : 1) + (revocation.client_id() == 0 ? 0 : 1) +
                         (revocation.ticket().empty() ? 0 : 1);
    if (subjects != 1) return "expected one of user, client and ticket";
    if (revocation.user().size() > kMaxSubject || revocation.ticket().size() > kMaxSubject) {
        return "user and ticket have at most 255 bytes";
    }
    switch (revocation.kind()) {
        case v1::Revocation::DISCONNECT: return {};
        case v1::Revocation::BAN:
            return revocation.client_id() == 0 ? std::string_view()
                                               : "a connection can't be banned, expected user or ticket";
        case v1::Revocation::UNSUBSCRIBE:
            return is_channel_name(revocation.channel())
                       ? std::string_view()
                       : "expected a channel, 1 to 255 bytes of A-Z a-z 0-9 _ - . : / @ =";
        case v1::Revocation::GRANT:
            return revocation.grants().size() <= kMaxGrants ? std::string_view()
                                                            : "grants have at most 8192 bytes of JSON";
        default: return "expected disconnect, ban, unsubscribe or refresh";
    }
}

std::uint64_t Revocations::ticket_hash(std::string_view ticket) noexcept {
    if (ticket.empty()) return 0;
    return std::max<std::uint64_t>(std::hash<std::string_view>{}(ticket), 1);
}

std::string Revocations::key_of(const v1::Revocation& revocation) {
    if (!revocation.user().empty()) return key(revocation.kind(), 'u', revocation.user(), revocation.channel());
    const bool ticket = !revocation.ticket().empty();
    const std::uint64_t number = ticket ? ticket_hash(revocation.ticket()) : revocation.client_id();
    return key(revocation.kind(), ticket ? 't' : 'c', std::to_string(number), revocation.channel());
}

void Revocations::issue(v1::Revocation& revocation, std::chrono::milliseconds lasts, WallTime now) const {
    std::int64_t issued = ms(now);
    std::int64_t until = ms(now + (is_ban(revocation) && !revocation.lifted() ? lasts : kRemembered));
    if (revocation.kind() == v1::Revocation::GRANT) revocation.set_expires_ms(lasts.count() == 0 ? 0 : ms(now + lasts));
    if (const auto known = known_.find(key_of(revocation)); known != known_.end()) {
        issued = std::max(issued, known->second.revocation.issued_ms() + 1);
        // The end of a ban must outlive the ban itself, wherever that is still remembered.
        if (revocation.lifted()) until = std::max(until, known->second.revocation.until_ms());
    }
    revocation.set_issued_ms(issued);
    revocation.set_until_ms(until);
    revocation.set_late(false);
}

Revocations::Added Revocations::add(const v1::Revocation& revocation, WallTime now) {
    if (!check(revocation).empty() || revocation.until_ms() <= ms(now)) return Added::known;
    std::string key = key_of(revocation);
    if (const auto known = known_.find(key); known != known_.end()) {
        if (known->second.revocation.issued_ms() >= revocation.issued_ms()) return Added::known;
        forget(known);
    }
    if (known_.size() >= max_) expire(now);
    if (known_.size() >= max_) {
        if (fleeting_.empty()) return Added::forgotten;
        forget(known_.find(fleeting_.front()));
    }
    Entry entry{revocation, fleeting_.end(), ++decided_, revocation.late()};
    entry.revocation.set_late(true);  // as it is told from now on
    if (is_ban(revocation)) {
        ++bans_;
    } else {
        entry.place = fleeting_.insert(fleeting_.end(), key);
        grant_bytes_ += revocation.grants().size();
    }
    known_.emplace(std::move(key), std::move(entry));
    while (grant_bytes_ > kMaxGrantBytes) forget(known_.find(fleeting_.front()));
    return Added::news;
}

std::unordered_map<std::string, Revocations::Entry>::iterator Revocations::forget(
    std::unordered_map<std::string, Entry>::iterator at) {
    if (is_ban(at->second.revocation)) {
        --bans_;
    } else {
        fleeting_.erase(at->second.place);
        grant_bytes_ -= at->second.revocation.grants().size();
    }
    return known_.erase(at);
}

void Revocations::expire(WallTime now) {
    for (auto at = known_.begin(); at != known_.end();) {
        at = at->second.revocation.until_ms() <= ms(now) ? forget(at) : std::next(at);
    }
}

WallTime Revocations::ban_until(const std::string& key, WallTime now) const {
    const auto known = known_.find(key);
    if (known == known_.end()) return {};
    const v1::Revocation& ban = known->second.revocation;
    if (ban.lifted() || ban.until_ms() <= ms(now)) return {};
    return WallTime(std::chrono::milliseconds(ban.until_ms()));
}

WallTime Revocations::banned_until(std::string_view user, std::uint64_t ticket, WallTime now) const {
    if (bans_ == 0) return {};
    WallTime until{};
    if (!user.empty()) until = ban_until(key(v1::Revocation::BAN, 'u', user), now);
    if (ticket != 0) until = std::max(until, ban_until(key(v1::Revocation::BAN, 't', std::to_string(ticket)), now));
    return until;
}

bool Revocations::disconnected(std::string_view user, std::uint64_t ticket, std::uint64_t client_id, WallTime since,
                               std::uint64_t mark) const {
    if (decided_ == mark || fleeting_.empty()) return false;
    const auto meant = [&](char sort, std::string_view subject) {
        const auto known = known_.find(key(v1::Revocation::DISCONNECT, sort, subject));
        if (known == known_.end() || known->second.number <= mark) return false;
        return !known->second.late || ms(since) <= known->second.revocation.issued_ms();
    };
    return (!user.empty() && meant('u', user)) || (ticket != 0 && meant('t', std::to_string(ticket))) ||
           meant('c', std::to_string(client_id));
}

void Revocations::for_each(const std::function<void(const v1::Revocation&)>& visit) const {
    for (const auto& [key, entry] : known_) visit(entry.revocation);
}

}  // namespace weft

#include "weft/position.hpp"

#include <algorithm>
#include <charconv>

namespace weft {
namespace {

// Streams are written in 36, numbers in 10.
constexpr int kStreamBase = 36;
constexpr int kNumberBase = 10;

// Reads all of `digits`, which must be what std::to_chars writes: lower case, no leading zero.
bool read_number(std::string_view digits, int base, std::uint64_t& value) noexcept {
    if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return false;
    if (std::ranges::any_of(digits, [](char c) { return c >= 'A' && c <= 'Z'; })) return false;
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
    return error == std::errc() && stop == end;
}

tl::unexpected<std::string> error(std::string text) {
    return tl::unexpected(std::move(text));
}

bool before(const Position::Entry& entry, StreamId stream) noexcept {
    return entry.stream < stream;
}

}  // namespace

void append_entry(std::string& out, StreamId stream, char between, std::uint64_t number) {
    constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
    char text[13 + 1 + 20];  // 2^64 - 1 in base 36, and in decimal
    char digits[13];
    // Written once a publication: std::to_chars divides by a base that it doesn't know, which takes several times as
    // long.
    char* first = digits + sizeof digits;
    do {
        *--first = kDigits[stream % kStreamBase];
        stream /= kStreamBase;
    } while (stream != 0);
    char* end = std::copy(first, digits + sizeof digits, text);
    *end++ = between;
    end = std::to_chars(end, text + sizeof text, number).ptr;
    out.append(text, end);
}

tl::expected<Position, std::string> Position::parse(std::string_view text) {
    Position position;
    if (text.empty()) return position;
    if (text.size() > kMaxText) return error("a position is longer than " + std::to_string(kMaxText) + " bytes");
    position.entries_.reserve(std::min<std::size_t>(std::ranges::count(text, '_') + 1, kMaxStreams));
    for (std::size_t from = 0; from <= text.size();) {
        const auto to = std::min(text.find('_', from), text.size());
        const auto part = text.substr(from, to - from);
        from = to + 1;

        const auto dot = part.find('.');
        if (dot == part.npos) return error("a position's entry isn't of the form stream.number");
        Entry entry{};
        if (!read_number(part.substr(0, dot), kStreamBase, entry.stream) || entry.stream == 0) {
            return error("a position's stream isn't a base 36 number from 1 to 2^64 - 1");
        }
        if (!read_number(part.substr(dot + 1), kNumberBase, entry.number)) {
            return error("a position's number isn't a decimal number from 0 to 2^64 - 1");
        }
        if (!position.entries_.empty() && position.entries_.back().stream >= entry.stream) {
            return error(position.entries_.back().stream == entry.stream
                             ? "a position names a stream twice"
                             : "a position's streams aren't in ascending order");
        }
        if (position.entries_.size() == kMaxStreams) {
            return error("a position names more than " + std::to_string(kMaxStreams) + " streams");
        }
        position.entries_.push_back(entry);
    }
    return position;
}

std::string Position::text() const {
    std::string out;
    text(out);
    return out;
}

void Position::text(std::string& out) const {
    out.clear();
    for (const Entry& entry : entries_) {
        if (!out.empty()) out += '_';
        append_entry(out, entry.stream, '.', entry.number);
    }
}

const std::uint64_t* Position::find(StreamId stream) const noexcept {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), stream, before);
    return at != entries_.end() && at->stream == stream ? &at->number : nullptr;
}

bool Position::set(StreamId stream, std::uint64_t number) {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), stream, before);
    if (at != entries_.end() && at->stream == stream) {
        at->number = number;
        return true;
    }
    if (stream == 0 || entries_.size() == kMaxStreams) return false;
    entries_.insert(at, Entry{stream, number});
    return true;
}

void Position::erase(StreamId stream) {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), stream, before);
    if (at != entries_.end() && at->stream == stream) entries_.erase(at);
}

bool Position::includes(const Position& other) const noexcept {
    return std::ranges::all_of(other.entries_, [this](const Entry& theirs) {
        if (theirs.number == 0) return true;
        const std::uint64_t* const mine = find(theirs.stream);
        return mine != nullptr && *mine >= theirs.number;
    });
}

bool Position::merge(const Position& other) {
    bool room = true;
    for (const Entry& theirs : other.entries_) {
        const std::uint64_t* const mine = find(theirs.stream);
        if (mine == nullptr || *mine < theirs.number) room = set(theirs.stream, theirs.number) && room;
    }
    return room;
}

bool Position::covers(const Position& other) const noexcept {
    return std::ranges::equal(entries_, other.entries_, [](const Entry& mine, const Entry& theirs) {
        return mine.stream == theirs.stream && mine.number >= theirs.number;
    });
}

}  // namespace weft

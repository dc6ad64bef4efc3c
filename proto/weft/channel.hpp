// Channel names and the patterns that rules and grants use for them (PROTOCOL, "Names").
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft {

inline constexpr std::size_t kMaxChannelName = 255;  // bytes

/// Whether `name` is a channel: 1 to 255 bytes of A–Z a–z 0–9 _ - . : / @ =.
bool is_channel_name(std::string_view name) noexcept;

/// A pattern of channel names. `*` matches any run of characters (also none) within one `:`-separated segment, a
/// trailing `**` matches the rest, segments and all (also nothing). Everything else stands for itself. So "chat:*"
/// matches "chat:lobby" but neither "chat" nor "chat:a:b"; "chat:**" matches "chat:a:b"; "**" matches every channel.
/// Stars stay in their namespace, the first segment: "chat**" is refused, as it would match "chatter:x". The segment
/// `{sub}` stands for the user: "user:{sub}".
/// A pattern is 1 to kMaxChannelName bytes, of those that a name may have, stars and `{sub}`.
class ChannelPattern {
public:
    /// The error is one sentence that names what is wrong and what was expected, fit for nginx -t.
    static tl::expected<ChannelPattern, std::string> parse(std::string_view text);

    /// At most name length × pattern length steps (no backtracking explosion). No allocation.
    /// `{sub}` stands for any segment that isn't empty.
    [[nodiscard]] bool matches(std::string_view name) const noexcept;
    /// `{sub}` stands for `user` alone, byte for byte: what a user is called is never taken for a pattern. A user whose
    /// name is empty or can't be a segment of a channel's name (":", "*", a space, …) is no channel's owner.
    [[nodiscard]] bool matches(std::string_view name, std::string_view user) const noexcept;
    /// Whether `{sub}` stands in it.
    [[nodiscard]] bool has_owner() const noexcept;

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    explicit ChannelPattern(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

/// A pattern of rpc methods: as ChannelPattern, with segments separated by "." instead of ":" ("orders.*").
class MethodPattern {
public:
    static tl::expected<MethodPattern, std::string> parse(std::string_view text);
    [[nodiscard]] bool matches(std::string_view method) const noexcept;
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    explicit MethodPattern(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace weft

#include "peer_keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "config.hpp"

namespace weft {
namespace {

constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

std::string_view next_word(std::string_view& rest) {
    constexpr std::string_view kBlanks = " \t\r";
    const std::size_t begin = rest.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return rest = {};
    rest.remove_prefix(begin);
    const std::string_view word = rest.substr(0, rest.find_first_of(kBlanks));
    rest.remove_prefix(word.size());
    return word;
}

std::string_view next_line(std::string_view& rest) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return line;
}

/// What a file holds; `look` says from its mode what is wrong with it, if anything.
template <class Look>
tl::expected<std::string, std::string> read_file(const std::string& path, std::size_t most, Look look) {
    const auto fail = [&](std::string_view what) { return tl::unexpected(path + " " + std::string(what)); };
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail(std::string("can't be opened: ") + std::strerror(errno));
    struct stat found {};
    std::string text(most + 1, '\0');
    std::size_t size = 0;
    std::string wrong = ::fstat(fd, &found) == 0 ? look(found.st_mode) : std::strerror(errno);
    while (wrong.empty() && size < text.size()) {
        const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
        if (got < 0) wrong = std::string("can't be read: ") + std::strerror(errno);
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
    }
    ::close(fd);
    if (!wrong.empty()) return fail(wrong);
    if (size > most) return fail("is too long; expected at most " + std::to_string(most) + " bytes");
    text.resize(size);
    return text;
}

}  // namespace

bool is_curve_key(std::string_view text) noexcept {
    static_assert(kZ85.size() == 85);
    if (text.size() != kCurveKeyText) return false;
    for (std::size_t at = 0; at < text.size(); at += 5) {
        std::uint64_t value = 0;
        for (const char c : text.substr(at, 5)) {
            const std::size_t digit = kZ85.find(c);
            if (digit == std::string_view::npos) return false;
            value = value * kZ85.size() + digit;
        }
        if (value > UINT32_MAX) return false;
    }
    return true;
}

tl::expected<PeerKeys, std::string> PeerKeys::parse(std::string_view text) {
    PeerKeys out;
    for (int number = 1; !text.empty(); ++number) {
        std::string_view rest = next_line(text);
        const auto fail = [&](const std::string& what) {
            return tl::unexpected("line " + std::to_string(number) + ": " + what);
        };
        const std::string_view key = next_word(rest);
        if (key.empty() || key.starts_with('#')) continue;
        // What was taken for a key may be a secret one: it isn't repeated.
        if (!is_curve_key(key)) return fail("no key; expected a public key of 40 characters, as weftctl prints it");
        if (out.find(key) != nullptr) return fail("this key stands there twice; expected once");
        std::string_view node = next_word(rest);
        if (node.starts_with('#')) node = rest = {};
        if (!node.empty() && !is_node_name(node)) {
            return fail("\"" + std::string(node) + "\" is not a node's name; expected one behind the key, or nothing");
        }
        if (const std::string_view more = next_word(rest); !more.empty() && !more.starts_with('#')) {
            return fail("\"" + std::string(more) + "\" is too much; expected a key and a node's name");
        }
        if (out.keys_.size() == kMaxKeys) return fail("expected at most " + std::to_string(kMaxKeys) + " keys");
        out.keys_.push_back({std::string(key), std::string(node)});
    }
    return out;
}

tl::expected<PeerKeys, std::string> PeerKeys::load(const std::string& path) {
    const auto text = read_file(path, kMaxFile, [](mode_t) { return std::string(); });
    if (!text) return tl::unexpected(text.error());
    auto keys = parse(*text);
    if (!keys) return tl::unexpected(path + ", " + keys.error());
    return keys;
}

const PeerKeys::Key* PeerKeys::find(std::string_view text) const noexcept {
    const auto found = std::ranges::find(keys_, text, &Key::text);
    return found == keys_.end() ? nullptr : &*found;
}

tl::expected<std::string, std::string> load_secret_key(const std::string& path) {
    const auto text = read_file(path, PeerKeys::kMaxFile, [](mode_t mode) -> std::string {
        return (mode & S_IROTH) != 0 ? "can be read by everybody; expected a file of mode 0600 or 0640" : "";
    });
    if (!text) return tl::unexpected(text.error());
    for (std::string_view rest = *text; !rest.empty();) {
        std::string_view line = next_line(rest);
        const std::string_view word = next_word(line);
        if (word.empty() || word.starts_with('#')) continue;
        if (!is_curve_key(word) || !next_word(line).empty()) break;
        return std::string(word);
    }
    return tl::unexpected(path + " has no secret key; expected what \"weftctl keygen curve\" writes");
}

}  // namespace weft

// The CURVE keys of the mesh (RFC 26/CurveZMQ) as files hold them: this node's secret one, and those of the peers that
// are let in. Keys are text in Z85 (ZeroMQ RFC 32), 40 characters for 32 bytes, as `weftctl keygen curve` writes them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weft {

inline constexpr std::size_t kCurveKeyText = 40;  // characters of a key

/// Whether `text` is a key: kCurveKeyText characters of Z85 that stand for 32 bytes.
bool is_curve_key(std::string_view text) noexcept;

/// The public keys of those who may be peers: mesh.curve.allow.
class PeerKeys {
public:
    static constexpr std::size_t kMaxKeys = 256;
    static constexpr std::size_t kMaxFile = std::size_t{64} << 10;  // bytes

    struct Key {
        std::string text;
        std::string node;  // the only name that a node with this key may have; empty: any
        bool operator==(const Key&) const = default;
    };

    /// One key a line, behind it the node's name if only that node may use it. Empty lines don't count, nor does a word
    /// that begins with # and what follows it (a key has that character inside only). The error is a phrase that begins
    /// with the line's number.
    static tl::expected<PeerKeys, std::string> parse(std::string_view text);
    /// Likewise of a file; the error begins with its path.
    static tl::expected<PeerKeys, std::string> load(const std::string& path);

    [[nodiscard]] const Key* find(std::string_view text) const noexcept;
    [[nodiscard]] const std::vector<Key>& all() const noexcept { return keys_; }
    bool operator==(const PeerKeys&) const = default;

private:
    std::vector<Key> keys_;  // in the order of the file
};

/// The secret key in a file: its first line that is no remark. The error begins with the path; a file that all users of
/// the host may read is one.
tl::expected<std::string, std::string> load_secret_key(const std::string& path);

}  // namespace weft

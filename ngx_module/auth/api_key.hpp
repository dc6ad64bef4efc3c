// API keys: long random secrets that back ends show, of which the server keeps hashes only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "auth/grants.hpp"

namespace weft {

/// Keys are random, 32 bytes of it, so a plain hash is as good as a slow one: there is nothing to guess.
class ApiKeys {
public:
    static constexpr std::size_t kMaxKeys = 1000;    // of one file
    static constexpr std::size_t kMaxKeyText = 256;  // bytes of a key that is shown
    static constexpr std::size_t kMaxKeyName = 64;   // bytes

    struct Key {
        std::string name;  // 1 to kMaxKeyName of A-Z a-z 0-9 _ - .
        std::array<std::uint8_t, 32> hash;
        Grants grants;
    };

    /// Reads a file: a line each, NAME sha256:HEX GRANTS (parse_grants); empty lines and those that begin with # are
    /// passed over. The error is a sentence that names the line, without any of its bytes.
    static tl::expected<ApiKeys, std::string> parse(std::string_view file);

    /// The index in all() of the key whose hash is that of `key`. Takes the same time wherever it stands.
    [[nodiscard]] std::optional<std::size_t> find(std::string_view key) const noexcept;

    [[nodiscard]] const std::vector<Key>& all() const noexcept { return keys_; }

private:
    std::vector<Key> keys_;
};

/// "sha256:" and the hash of `key` in 64 hexadecimal digits, as it stands in a file.
std::string api_key_hash(std::string_view key);

/// Whether a key may be called so.
bool is_api_key_name(std::string_view name) noexcept;

}  // namespace weft

#include "auth/api_key.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "auth/grants_text.hpp"

namespace weft {

namespace {

constexpr std::string_view kScheme = "sha256:";

std::array<std::uint8_t, 32> hash_of(std::string_view key) noexcept {
    std::array<std::uint8_t, 32> hash{};
    SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
    return hash;
}

bool read_hash(std::string_view text, std::array<std::uint8_t, 32>& hash) noexcept {
    if (!text.starts_with(kScheme)) return false;
    text.remove_prefix(kScheme.size());
    if (text.size() != 2 * hash.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        int digit = 0;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - 'a' + 10;
        } else {
            return false;
        }
        hash[i / 2] = static_cast<std::uint8_t>(hash[i / 2] << 4 | digit);
    }
    return true;
}

/// The next word off the front of `line`.
std::string_view next_word(std::string_view& line) noexcept {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
}

}  // namespace

bool is_api_key_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= ApiKeys::kMaxKeyName && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.';
    });
}

std::string api_key_hash(std::string_view key) {
    std::string text(kScheme);
    for (const std::uint8_t byte : hash_of(key)) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

tl::expected<ApiKeys, std::string> ApiKeys::parse(std::string_view file) {
    ApiKeys keys;
    for (std::size_t number = 1; !file.empty(); ++number) {
        const std::size_t end = std::min(file.find('\n'), file.size());
        std::string_view line = file.substr(0, end);
        file.remove_prefix(std::min(end + 1, file.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        const auto wrong = [number](const std::string& why) {
            return tl::unexpected("line " + std::to_string(number) + ": " + why);
        };
        Key key{};
        key.name = next_word(line);
        if (key.name.empty() || key.name.starts_with('#')) continue;
        if (!is_api_key_name(key.name)) return wrong("expected a name of 1 to 64 bytes of A-Z a-z 0-9 _ - . first");
        if (!read_hash(next_word(line), key.hash)) {
            return wrong("expected sha256: and 64 lower-case hexadecimal digits behind the name");
        }
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        auto grants = parse_grants(line);
        if (!grants) return wrong(grants.error() + ", expected {\"channels\":{…},\"rpc\":[…]} behind the hash");
        key.grants = std::move(*grants);
        for (const Key& other : keys.keys_) {
            if (other.name == key.name) return wrong("this name is there already");
            if (other.hash == key.hash) return wrong("this hash is there already");
        }
        if (keys.keys_.size() == kMaxKeys) return wrong("more than 1000 keys");
        keys.keys_.push_back(std::move(key));
    }
    if (keys.keys_.empty()) return tl::unexpected(std::string("there is no key in it"));
    return keys;
}

std::optional<std::size_t> ApiKeys::find(std::string_view key) const noexcept {
    if (key.size() > kMaxKeyText) return std::nullopt;
    const auto hash = hash_of(key);
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        if (CRYPTO_memcmp(keys_[i].hash.data(), hash.data(), hash.size()) == 0) found = i;
    }
    return found;
}

}  // namespace weft

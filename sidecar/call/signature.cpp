#include "call/signature.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <vector>

namespace weft {
namespace {

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

tl::expected<std::string, std::string> parse_hook_key(std::string_view text) {
    constexpr std::string_view kPrefix = "whsec_";
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    std::string key(text);
    if (text.starts_with(kPrefix)) {
        text.remove_prefix(kPrefix.size());
        std::vector<unsigned char> decoded(text.size() + 1);
        const int size = EVP_DecodeBlock(decoded.data(), bytes_of(text), static_cast<int>(text.size()));
        if (size < 0) return tl::unexpected(std::string("is not base 64 behind \"whsec_\"; expected it so"));
        const std::size_t padding = text.size() - (text.find_last_not_of('=') + 1);
        key.assign(reinterpret_cast<const char*>(decoded.data()), static_cast<std::size_t>(size) - padding);
    }
    if (key.size() < kMinHookKey || key.size() > kMaxHookKey) {
        return tl::unexpected("holds a key of " + std::to_string(key.size()) + " bytes; expected " +
                              std::to_string(kMinHookKey) + " to " + std::to_string(kMaxHookKey));
    }
    return key;
}

std::string webhook_signature(std::string_view key, std::string_view id, std::string_view timestamp,
                              std::string_view body) {
    std::string input;
    input.reserve(id.size() + timestamp.size() + body.size() + 2);
    input.append(id).append(".").append(timestamp).append(".").append(body);
    std::array<unsigned char, 32> mac;
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(input), input.size(), mac.data(), &size);
    std::array<unsigned char, 48> text;  // 4 characters for 3 bytes, and a zero
    const int length = EVP_EncodeBlock(text.data(), mac.data(), static_cast<int>(mac.size()));
    return "v1," + std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length));
}

}  // namespace weft

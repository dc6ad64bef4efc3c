#include <openssl/crypto.h>

#include "auth/base64.hpp"
#include "auth/ticket.hpp"

namespace weft {

namespace {

constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decode_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() / 2);  // no copies of half a key left behind by growing
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_value(text[i]);
        const int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) {
            OPENSSL_cleanse(bytes.data(), bytes.size());
            return std::nullopt;
        }
        bytes += static_cast<char>(high << 4 | low);
    }
    return bytes;
}

}  // namespace

tl::expected<std::string, std::string> read_key(std::string_view file_content) {
    if (file_content.ends_with("\r\n")) {
        file_content.remove_suffix(2);
    } else if (file_content.ends_with('\n')) {
        file_content.remove_suffix(1);
    }
    constexpr std::string_view kBase64 = "base64:";
    constexpr std::string_view kHex = "hex:";
    std::optional<std::string> key;
    if (file_content.starts_with(kBase64)) {
        key = decode_base64(file_content.substr(kBase64.size()), Base64::standard);
        if (!key) return tl::unexpected(std::string("what follows base64: is not padded base64 on one line"));
    } else if (file_content.starts_with(kHex)) {
        key = decode_hex(file_content.substr(kHex.size()));
        if (!key) return tl::unexpected(std::string("what follows hex: is not pairs of hexadecimal digits"));
    } else {
        key = std::string(file_content);
    }
    if (key->empty()) return tl::unexpected(std::string("the key is empty"));
    return std::move(*key);
}

}  // namespace weft

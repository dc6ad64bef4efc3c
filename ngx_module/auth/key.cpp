#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

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

/// What a file holds that is no secret; null for one that may be. A public key taken for a secret would let everybody
/// sign (RFC 8725 §2.1).
const char* other_content(std::string_view content) noexcept {
    const std::size_t first = content.find_first_not_of(" \t\r\n");
    const std::string_view text = first == std::string_view::npos ? std::string_view() : content.substr(first);
    if (content.find("-----BEGIN ") != std::string_view::npos) return "PEM";
    if (text.starts_with('{') || text.starts_with('[')) return "JSON";
    for (const char* type : {"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"}) {
        if (text.starts_with(type)) return "an OpenSSH public key";
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(content.data());
    EVP_PKEY* key = d2i_PUBKEY(nullptr, &bytes, static_cast<long>(content.size()));
    EVP_PKEY_free(key);
    ERR_clear_error();
    return key != nullptr ? "a public key in DER" : nullptr;
}

}  // namespace

tl::expected<std::string, std::string> read_key(std::string_view file_content) {
    if (const char* other = other_content(file_content)) {
        return tl::unexpected("it holds " + std::string(other) + ", not a secret");
    }
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

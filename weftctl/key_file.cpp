#include "key_file.hpp"

#include <openssl/crypto.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "auth/ticket.hpp"
#include "command.hpp"

namespace weft {

FileContent::FileContent(const std::string& path, std::size_t most) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Failure("can't open " + path + ": " + std::strerror(errno));
    text_.resize(most + 1);
    file.read(text_.data(), static_cast<std::streamsize>(text_.size()));
    const auto size = static_cast<std::size_t>(file.gcount());
    if (file.bad() || (size == 0 && !file.eof())) throw Failure("can't read " + path);
    if (size > most) throw Failure(path + " is too long: at most " + std::to_string(most) + " bytes");
    text_.resize(size);
}

FileContent::~FileContent() {
    OPENSSL_cleanse(text_.data(), text_.size());
}

SigningKey read_signing_key(const std::string& path) {
    const FileContent content(path, kMaxKeyFile);
    auto key = SigningKey::read(content.text());
    if (!key) throw Failure(path + ": " + key.error() + "; weftctl keygen makes one");
    return std::move(*key);
}

Algorithm known_algorithm(const std::string& option, const std::string& text) {
    const auto algorithm = parse_algorithm(text);
    if (!algorithm) {
        throw UsageError(option + " " + text + ": expected HS256, HS384, HS512, RS256, PS256, ES256, ES384 or EdDSA");
    }
    return *algorithm;
}

Algorithm choose_algorithm(const std::string& text, const SigningKey& key) {
    if (text.empty()) return key.usual();
    const Algorithm algorithm = known_algorithm("--alg", text);
    if (!key.fitting().has(algorithm)) {
        throw UsageError("--alg " + text + ": the key is one for " + key.fitting().names());
    }
    return algorithm;
}

}  // namespace weft

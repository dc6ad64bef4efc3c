#include "key_file.hpp"

#include <openssl/crypto.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "auth/ticket.hpp"
#include "command.hpp"

namespace weft {

KeyFile::KeyFile(const std::string& path) {
    std::array<char, 4097> content;
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Failure("can't open " + path + ": " + std::strerror(errno));
    file.read(content.data(), content.size());
    const auto size = static_cast<std::size_t>(file.gcount());
    if (file.bad() || (size == 0 && !file.eof())) throw Failure("can't read " + path);
    if (size == content.size()) throw Failure(path + " is too long for a key file: at most 4096 bytes");
    auto key = read_key({content.data(), size});
    OPENSSL_cleanse(content.data(), content.size());
    if (!key) throw Failure(path + ": " + key.error());
    key_ = std::move(*key);
    if (key_.size() < kMinKey) {
        throw Failure(path + ": the key has " + std::to_string(key_.size()) + " bytes, at least " +
                      std::to_string(kMinKey) + " are needed; weftctl keygen makes one");
    }
}

KeyFile::~KeyFile() {
    OPENSSL_cleanse(key_.data(), key_.size());
}

}  // namespace weft

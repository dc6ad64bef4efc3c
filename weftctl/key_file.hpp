#pragma once

#include <string>

#include "auth/signing_key.hpp"

namespace weft {

/// A file's bytes, wiped in the end.
class FileContent {
public:
    /// Throws Failure, with the file's name, when it can't be read or has more than `most` bytes.
    FileContent(const std::string& path, std::size_t most);
    FileContent(const FileContent&) = delete;
    FileContent& operator=(const FileContent&) = delete;
    ~FileContent();

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

inline constexpr std::size_t kMaxKeyFile = std::size_t{64} * 1024;  // bytes

/// The secret or private key in a file. Throws Failure, with the file's name, when there is no usable one in it.
SigningKey read_signing_key(const std::string& path);

/// `text` as an algorithm that `key` can sign with; the key's usual one when it is empty. Throws UsageError.
Algorithm choose_algorithm(const std::string& text, const SigningKey& key);

/// By its name. Throws UsageError, which names `option`.
Algorithm known_algorithm(const std::string& option, const std::string& text);

}  // namespace weft

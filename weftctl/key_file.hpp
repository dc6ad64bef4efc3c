#pragma once

#include <string>

namespace weft {

/// The secret in a key file, wiped in the end.
class KeyFile {
public:
    /// Throws Failure, with the file's name, when there is no usable key in it.
    explicit KeyFile(const std::string& path);
    KeyFile(const KeyFile&) = delete;
    KeyFile& operator=(const KeyFile&) = delete;
    ~KeyFile();

    [[nodiscard]] const std::string& key() const noexcept { return key_; }

private:
    std::string key_;
};

}  // namespace weft

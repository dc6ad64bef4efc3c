// The keys of a JWK set's file, which may be replaced while nginx runs.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "auth/ticket.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// In each worker one. The file is looked at (one stat) when a ticket comes, and at most once a second; it is read
/// again when it is another file or has changed. A new content that can't be used is logged once, and the keys that
/// were there stay. Replacing it by rename is best; a file that is written in place may be seen half done, is then an
/// error in the log, and is read again when it is whole.
class JwksFile final : public KeySource {
public:
    /// Reads it for the first time. The error says what is wrong, without the path.
    static tl::expected<std::unique_ptr<JwksFile>, std::string> open(std::string path, AlgorithmSet allowed);

    std::optional<KeyRing> changed(WallTime now) override;

private:
    /// What a file is known by again.
    struct Stamp {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = 0;
        std::int64_t modified = 0;  // nanoseconds since 1970
        std::int64_t status = 0;    // the same of its last change of any sort
        bool operator==(const Stamp&) const = default;
    };

    JwksFile(std::string path, AlgorithmSet allowed) : path_(std::move(path)), allowed_(allowed) {}
    static Stamp stamp_of(const struct stat& status) noexcept;
    /// What stands in the file now; its stamp is left in `seen_`.
    tl::expected<KeyRing, std::string> read();
    /// The keys, if it is time to look and they are new.
    std::optional<KeyRing> look(WallTime now);
    void look_readable() noexcept;
    void complain(const std::string& why) noexcept;

    std::string path_;
    AlgorithmSet allowed_;
    std::optional<KeyRing> first_;  // what open() read, until it is asked for
    std::optional<Stamp> seen_;     // what was read last, well or not
    bool settled_ = false;          // it was read so long after its last change that another would show in its stamp
    bool looked_ = false;
    std::string complaint_;  // what the log heard last; empty: all is well
    WallTime next_look_{};
};

}  // namespace weft

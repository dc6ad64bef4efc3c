#include "ngx/jwks_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "auth/jwks.hpp"

namespace weft {

namespace {

constexpr std::chrono::milliseconds kInterval = std::chrono::seconds(1);

/// File systems may tell times by the second only: a file that changed less than this before it was read may have
/// changed again since, and look the same.
constexpr std::int64_t kSettling = 2'000'000'000;  // nanoseconds

std::int64_t nanoseconds(const timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

struct Descriptor {
    explicit Descriptor(int number) : number(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number >= 0) close(number);
    }
    int number;
};

/// Wiped in the end: there may be secrets in it.
struct Content {
    Content() : bytes(kMaxJwks + 1, '\0') {}
    Content(const Content&) = delete;
    Content& operator=(const Content&) = delete;
    ~Content() { ngx_explicit_memzero(bytes.data(), bytes.size()); }
    std::string bytes;
};

}  // namespace

JwksFile::Stamp JwksFile::stamp_of(const struct stat& status) noexcept {
    return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

tl::expected<std::unique_ptr<JwksFile>, std::string> JwksFile::open(std::string path, AlgorithmSet allowed) {
    std::unique_ptr<JwksFile> file(new JwksFile(std::move(path), allowed));
    auto keys = file->read();
    if (!keys) return tl::unexpected(std::move(keys.error()));
    file->first_ = std::move(*keys);
    return file;
}

tl::expected<KeyRing, std::string> JwksFile::read() {
    const auto failed = [] { return tl::unexpected(std::string(std::strerror(errno))); };
    const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a FIFO must not hold us up
    if (file.number < 0) return failed();
    struct stat status;
    if (fstat(file.number, &status) != 0) return failed();
    seen_ = stamp_of(status);
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    settled_ = nanoseconds(now) - std::max(seen_->modified, seen_->status) > kSettling;
    if (!S_ISREG(status.st_mode)) return tl::unexpected(std::string("it is not a file"));
    Content content;
    std::size_t size = 0;
    while (size < content.bytes.size()) {
        const ssize_t more = ::read(file.number, content.bytes.data() + size, content.bytes.size() - size);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return failed();
        if (more == 0) break;
        size += static_cast<std::size_t>(more);
    }
    return parse_jwks(std::string_view(content.bytes).substr(0, size), allowed_);
}

std::optional<KeyRing> JwksFile::changed(WallTime now) {
    std::optional<KeyRing> keys = look(now);
    if (!keys) keys = std::exchange(first_, std::nullopt);
    if (keys) first_.reset();
    return keys;
}

std::optional<KeyRing> JwksFile::look(WallTime now) {
    // Backwards too, or a clock that was put right would keep us from looking.
    if (now < next_look_ && next_look_ - now <= kInterval) return std::nullopt;
    next_look_ = now + kInterval;
    if (!looked_) look_readable();
    struct stat status;
    if (stat(path_.c_str(), &status) != 0) {
        complain(std::strerror(errno));
        return std::nullopt;
    }
    if (settled_ && seen_ && *seen_ == stamp_of(status)) return std::nullopt;
    auto keys = read();
    if (!keys) {
        complain(keys.error());
        return std::nullopt;
    }
    if (!complaint_.empty()) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "weft: the JWK set in \"%s\" can be used again",
                      path_.c_str());
        complaint_.clear();
    }
    return std::move(*keys);
}

/// The file was read by the master so far, which may be allowed more: better said now than when keys are rotated.
void JwksFile::look_readable() noexcept {
    looked_ = true;
    if (access(path_.c_str(), R_OK) != 0) complain(std::strerror(errno));
}

void JwksFile::complain(const std::string& why) noexcept {
    if (why == complaint_) return;
    complaint_ = why;
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "weft: the JWK set in \"%s\" can't be used, the keys read before stay: %*s", path_.c_str(),
                  why.size(), why.data());
}

}  // namespace weft

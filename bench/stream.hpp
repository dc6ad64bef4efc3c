// One connection's bytes on a socket that never blocks, in the clear or through TLS.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace weft::bench {

struct FreeTls {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
    void operator()(SSL* session) const noexcept { SSL_free(session); }
};
using TlsContextPointer = std::unique_ptr<SSL_CTX, FreeTls>;
using TlsSessionPointer = std::unique_ptr<SSL, FreeTls>;

/// What all TLS clients here share: TLS 1.3 alone, no look at the certificate (the peer is this machine), no session
/// kept for resumption, so that every handshake is a full one. Throws std::runtime_error.
class TlsContext {
public:
    TlsContext();
    [[nodiscard]] SSL_CTX* get() const noexcept { return context_.get(); }

private:
    TlsContextPointer context_;
};

class Stream {
public:
    enum class Status { moved, again, ended, failed };
    struct Result {
        Status status;
        std::size_t bytes = 0;  // above 0 with `moved` only
    };

    Stream() = default;
    /// Takes the non-blocking socket `fd`; closed with this.
    explicit Stream(int fd) noexcept : fd_(fd) {}
    Stream(Stream&& other) noexcept;
    Stream& operator=(Stream&& other) noexcept;
    ~Stream();

    [[nodiscard]] int fd() const noexcept { return fd_; }

    /// From here on bytes go through TLS. shake_hands() must have moved before anything is read or written.
    void start_tls(const TlsContext& context);
    /// `moved` when the handshake is done, `again` when it waits for the server.
    Status shake_hands();

    /// Reads what there is, at most room.size() bytes (of at least kTlsRecord). What TLS has taken from the socket it
    /// also hands out, so a level-triggered epoll tells of all that is left.
    Result read(std::span<char> room);

    /// Writes what the socket takes. After `again`, and after fewer bytes than given, the next call must begin with the
    /// bytes that are left; more may follow them.
    Result write(std::string_view bytes);

    /// Of the last `failed`.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
    static constexpr std::size_t kTlsRecord = SSL3_RT_MAX_PLAIN_LENGTH;

    Status status_of(int returned);
    Status fail(const char* why);

    int fd_ = -1;
    TlsSessionPointer tls_;
    std::string error_;
};

}  // namespace weft::bench

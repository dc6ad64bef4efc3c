#include "stream.hpp"

#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace weft::bench {

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_client_method())) {
    if (context_ == nullptr || SSL_CTX_set_min_proto_version(context_.get(), TLS1_3_VERSION) != 1) {
        throw std::runtime_error("OpenSSL gives no TLS 1.3 client");
    }
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context_.get(),
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

Stream::Stream(Stream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), tls_(std::move(other.tls_)), error_(std::move(other.error_)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(tls_, other.tls_);
    std::swap(error_, other.error_);
    return *this;
}

Stream::~Stream() {
    tls_.reset();
    if (fd_ >= 0) ::close(fd_);
}

void Stream::start_tls(const TlsContext& context) {
    tls_.reset(SSL_new(context.get()));
    if (tls_ == nullptr || SSL_set_fd(tls_.get(), fd_) != 1) throw std::runtime_error("OpenSSL makes no session");
    SSL_set_connect_state(tls_.get());
}

Stream::Status Stream::fail(const char* why) {
    error_ = why != nullptr ? why : "unknown error";
    return Status::failed;
}

Stream::Status Stream::status_of(int returned) {
    const int saved = errno;
    switch (SSL_get_error(tls_.get(), returned)) {
        case SSL_ERROR_NONE: return Status::moved;
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE: return Status::again;
        case SSL_ERROR_ZERO_RETURN: return Status::ended;
        case SSL_ERROR_SYSCALL: return fail(std::strerror(saved));
        default: {
            const unsigned long code = ERR_peek_error();
            // Without close_notify, as nginx ends a connection that it resets.
            if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return Status::ended;
            return fail(ERR_reason_error_string(code));
        }
    }
}

Stream::Status Stream::shake_hands() {
    ERR_clear_error();
    return status_of(SSL_do_handshake(tls_.get()));
}

Stream::Result Stream::read(std::span<char> room) {
    if (tls_ == nullptr) {
        const ssize_t got = recv(fd_, room.data(), room.size(), 0);
        if (got > 0) return {Status::moved, static_cast<std::size_t>(got)};
        if (got == 0) return {Status::ended};
        if (errno == EAGAIN || errno == EINTR) return {Status::again};
        return {fail(std::strerror(errno))};
    }
    // A call gives one record at most, and never more than one is taken from the socket (read-ahead is off).
    std::size_t total = 0;
    Status status = Status::moved;
    while (status == Status::moved && room.size() - total >= kTlsRecord) {
        ERR_clear_error();
        std::size_t got = 0;
        status = status_of(SSL_read_ex(tls_.get(), room.data() + total, room.size() - total, &got));
        total += got;
    }
    // An end or an error behind bytes comes again with the next call.
    if (total > 0) return {Status::moved, total};
    return {status};
}

Stream::Result Stream::write(std::string_view bytes) {
    if (tls_ == nullptr) {
        const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) return {Status::moved, static_cast<std::size_t>(sent)};
        if (errno == EAGAIN || errno == EINTR) return {Status::again};
        return {fail(std::strerror(errno))};
    }
    std::size_t total = 0;
    Status status = Status::moved;
    while (status == Status::moved && total < bytes.size()) {
        ERR_clear_error();
        std::size_t sent = 0;
        status = status_of(SSL_write_ex(tls_.get(), bytes.data() + total, bytes.size() - total, &sent));
        total += sent;
    }
    if (status == Status::failed || total == 0) return {status};
    return {Status::moved, total};
}

}  // namespace weft::bench

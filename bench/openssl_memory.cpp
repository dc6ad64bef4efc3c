// What no server on OpenSSL can go below: the memory that OpenSSL itself keeps for an idle TLS 1.3 connection.
#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

#include "scenario.hpp"
#include "stream.hpp"

namespace weft::bench {
namespace {

// Every block that OpenSSL holds, with the allocator's rounding and header: glibc keeps 8 bytes before each block.
std::size_t live_bytes = 0;
constexpr std::size_t kHeader = 8;

void* count_in(void* block) {
    if (block != nullptr) live_bytes += malloc_usable_size(block) + kHeader;
    return block;
}

void count_out(void* block) {
    if (block != nullptr) live_bytes -= malloc_usable_size(block) + kHeader;
}

void* allocate(std::size_t size, const char*, int) {
    return count_in(std::malloc(size));
}

void release(void* block, const char*, int) {
    count_out(block);
    std::free(block);
}

void* reallocate(void* block, std::size_t size, const char* file, int line) {
    if (block == nullptr) return allocate(size, file, line);
    if (size == 0) {
        release(block, file, line);
        return nullptr;
    }
    count_out(block);
    void* moved = std::realloc(block, size);
    count_in(moved != nullptr ? moved : block);
    return moved;
}

[[noreturn]] void fail(const char* what) {
    const char* why = ERR_reason_error_string(ERR_peek_error());
    throw ScenarioError(std::string(what) + (why != nullptr ? std::string(": ") + why : std::string()));
}

// As nginx sets up its own (ngx_ssl_create): released buffers are what an idle connection gains most by.
TlsContextPointer server_context(const Options& options) {
    TlsContextPointer context(SSL_CTX_new(TLS_server_method()));
    if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
        SSL_CTX_use_certificate_file(context.get(), options.certificate.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context.get(), options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
        fail("the server's certificate and key");
    }
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    return context;
}

// Shakes hands with a client that is gone afterwards, says "hello" both ways, and leaves the server's end on a socket
// BIO, as a server would have it.
TlsSessionPointer connected_server(SSL_CTX* server_side, SSL_CTX* client_side) {
    TlsSessionPointer server(SSL_new(server_side));
    TlsSessionPointer client(SSL_new(client_side));
    BIO* near = nullptr;
    BIO* far = nullptr;
    if (server == nullptr || client == nullptr || BIO_new_bio_pair(&near, 0, &far, 0) != 1) fail("a pair of sessions");
    SSL_set_bio(server.get(), near, near);
    SSL_set_bio(client.get(), far, far);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    for (int turn = 0; turn < 10 && !(SSL_is_init_finished(client.get()) && SSL_is_init_finished(server.get()));
         ++turn) {
        SSL_do_handshake(client.get());
        SSL_do_handshake(server.get());
    }
    char text[8];
    if (SSL_write(client.get(), "hello", 5) != 5 || SSL_read(server.get(), text, sizeof text) != 5 ||
        SSL_write(server.get(), "hello", 5) != 5 || SSL_read(client.get(), text, sizeof text) != 5) {
        fail("a handshake");
    }
    // Nothing is ever done with descriptor 0; the pair's buffers (34 kB) must not be counted.
    BIO* socket = BIO_new_socket(0, BIO_NOCLOSE);
    if (socket == nullptr) fail("a socket");
    SSL_set_bio(server.get(), socket, socket);
    return server;
}

}  // namespace

JsonObject run_openssl_memory(const Options& options) {
    if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
        throw ScenarioError("OpenSSL has allocated already");
    const auto server_side = server_context(options);
    const TlsContext client_side;
    constexpr int kWarmup = 8;
    for (int i = 0; i < kWarmup; ++i) connected_server(server_side.get(), client_side.get());

    std::vector<TlsSessionPointer> servers;
    servers.reserve(options.connections);
    const std::size_t none = live_bytes;
    while (servers.size() < options.connections)
        servers.push_back(connected_server(server_side.get(), client_side.get()));
    const auto bytes = static_cast<double>(live_bytes - none) / static_cast<double>(options.connections);
    std::fprintf(stderr, "%s keeps %.0f bytes for a connection\n", OpenSSL_version(OPENSSL_VERSION), bytes);

    JsonObject result;
    result.add("openssl", OpenSSL_version(OPENSSL_VERSION))
        .add("connections", options.connections)
        .add("bytes_per_connection", bytes);
    return result;
}

}  // namespace weft::bench

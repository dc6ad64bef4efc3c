#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <iostream>

#include "auth/base64.hpp"
#include "auth/ticket.hpp"
#include "command.hpp"

namespace weft {

std::string random_bytes(std::size_t size) {
    std::string bytes(size, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) != 1) {
        throw Failure("OpenSSL has no random bytes to give");
    }
    return bytes;
}

void add_keygen_command(CLI::App& app) {
    app.add_subcommand("keygen", "Print a new key for weft_ticket (32 random bytes)")->callback([] {
        std::string key = random_bytes(kMinKey);
        std::string text = encode_base64(key, Base64::standard);
        std::cout << "base64:" << text << '\n';
        OPENSSL_cleanse(key.data(), key.size());
        OPENSSL_cleanse(text.data(), text.size());
    });
}

}  // namespace weft

// weftctl keygen and weftctl jwks: keys for weft_ticket.
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <vector>

#include "auth/base64.hpp"
#include "auth/jwks.hpp"
#include "auth/signing_key.hpp"
#include "auth/ticket.hpp"
#include "command.hpp"
#include "key_file.hpp"

namespace weft {

namespace {

struct KeygenOptions {
    std::string algorithm = "HS256", public_file;
};

struct JwksOptions {
    std::string algorithm;
    std::vector<std::string> keys;
};

void print_secret(Algorithm algorithm) {
    std::string key = random_bytes(mac_size(algorithm));
    std::string text = encode_base64(key, Base64::standard);
    std::cout << "base64:" << text << '\n';
    OPENSSL_cleanse(key.data(), key.size());
    OPENSSL_cleanse(text.data(), text.size());
}

void keygen(const KeygenOptions& options) {
    const Algorithm algorithm = known_algorithm("--alg", options.algorithm);
    if (is_hmac(algorithm)) {
        if (!options.public_file.empty()) throw UsageError("--public: " + options.algorithm + " has no public key");
        return print_secret(algorithm);
    }
    const auto key = SigningKey::generate(algorithm);
    if (!key) throw Failure(key.error());
    if (!options.public_file.empty()) {
        std::ofstream file(options.public_file, std::ios::binary);
        file << key->public_pem();
        file.close();
        if (!file) throw Failure("can't write " + options.public_file + ": " + std::strerror(errno));
    }
    std::string pem = key->private_pem();
    std::cout << pem;
    OPENSSL_cleanse(pem.data(), pem.size());
}

/// One of the set, from "KID=FILE" or "FILE".
std::string jwk_from(const std::string& argument, const std::string& algorithm) {
    const std::size_t equals = argument.find('=');
    const std::string name = equals == std::string::npos ? std::string() : argument.substr(0, equals);
    const std::string path = equals == std::string::npos ? argument : argument.substr(equals + 1);
    if (equals == 0 || path.empty()) throw UsageError(argument + ": expected KID=FILE or FILE");
    if (name.size() > kMaxKeyName) throw UsageError(argument + ": a kid has at most 255 bytes");
    const FileContent content(path, kMaxKeyFile);
    const auto key = SigningKey::read(content.text());
    if (key) {
        const auto wanted = algorithm.empty() ? std::nullopt : parse_algorithm(algorithm);
        return jwk_of(*key, wanted && key->fitting().has(*wanted) ? *wanted : key->usual(), name);
    }
    const auto open = PublicKey::from_pem(content.text());
    if (!open) throw Failure(path + ": " + key.error());
    const auto wanted = algorithm.empty() ? std::nullopt : parse_algorithm(algorithm);
    return jwk_of(*open, wanted && open->fitting().has(*wanted) ? *wanted : open->usual(), name);
}

void print_set(const JwksOptions& options) {
    if (!options.algorithm.empty()) known_algorithm("--alg", options.algorithm);
    std::string json = "{\"keys\":[";
    for (const std::string& key : options.keys) {
        json += (&key == &options.keys.front() ? "\n" : ",\n") + jwk_from(key, options.algorithm);
    }
    json += "\n]}\n";
    // No set leaves that a server would refuse.
    if (const auto ring = parse_jwks(json, {}); !ring) throw Failure("the set would be refused: " + ring.error());
    std::cout << json;
    OPENSSL_cleanse(json.data(), json.size());
}

}  // namespace

std::string random_bytes(std::size_t size) {
    std::string bytes(size, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(size)) != 1) {
        throw Failure("OpenSSL has no random bytes to give");
    }
    return bytes;
}

void add_keygen_command(CLI::App& app) {
    auto options = std::make_shared<KeygenOptions>();
    CLI::App* command = app.add_subcommand(
        "keygen", "Print a new key for tickets: a secret, or a private key in PEM; \"keygen curve\": one for the mesh");
    command
        ->add_option(
            "--alg", options->algorithm,
            "What it is for: HS256, HS384, HS512 (a secret); RS256, PS256, ES256, ES384, EdDSA (a private key)")
        ->capture_default_str();
    command->add_option("--public", options->public_file, "File for the public key, as weft_ticket key= takes it");
    add_keygen_curve_command(*command);
    command->require_subcommand(0, 1);
    command->callback([options, command] {
        if (command->get_subcommands().empty()) keygen(*options);
    });
}

void add_jwks_command(CLI::App& app) {
    auto options = std::make_shared<JwksOptions>();
    CLI::App* command = app.add_subcommand(
        "jwks", "Print a JWK set, for weft_ticket jwks=: the public parts of keys, and secrets as they are");
    command->add_option("keys", options->keys, "Key files, each as KID=FILE, or FILE for one without a kid")
        ->required()
        ->type_name("[KID=]FILE");
    command->add_option("--alg", options->algorithm,
                        "What those that can serve it are for, unless it is what is usual");
    command->callback([options] { print_set(*options); });
}

}  // namespace weft

// weftctl apikey: makes a key for weft_api_key.
#include <openssl/crypto.h>

#include <fstream>
#include <iostream>
#include <memory>

#include "auth/api_key.hpp"
#include "auth/base64.hpp"
#include "auth/grants_text.hpp"
#include "command.hpp"

namespace weft {

namespace {

constexpr std::size_t kKeyBytes = 32;

struct ApiKeyOptions {
    std::string name, grants, file;
};

void make_key(const ApiKeyOptions& options) {
    if (!is_api_key_name(options.name)) {
        throw UsageError("apikey: --name " + options.name + ": expected 1 to 64 of A-Z a-z 0-9 _ - .");
    }
    if (options.grants.find('\n') != std::string::npos) throw UsageError("apikey: --grants: expected one line");
    if (const auto grants = parse_grants(options.grants); !grants) {
        throw UsageError("apikey: --grants: " + grants.error() +
                         ", expected for example {\"channels\":{\"orders:*\":[\"publish\"]}}");
    }
    std::string secret = random_bytes(kKeyBytes);
    std::string key = "weft_" + encode_base64(secret, Base64::url);
    OPENSSL_cleanse(secret.data(), secret.size());
    const std::string line = options.name + ' ' + api_key_hash(key) + ' ' + options.grants;
    if (options.file.empty()) {
        std::cout << "key:  " << key << "\nline: " << line << '\n';
    } else {
        std::ofstream file(options.file, std::ios::app);
        file << line << '\n';
        file.close();
        if (!file) throw Failure(options.file + ": the line could not be written");
        std::cout << key << '\n';
    }
    OPENSSL_cleanse(key.data(), key.size());
}

}  // namespace

void add_apikey_command(CLI::App& app) {
    auto options = std::make_shared<ApiKeyOptions>();
    CLI::App* command = app.add_subcommand("apikey", "Print a new API key, and the line for the file of weft_api_key");
    command->add_option("--name", options->name, "What the key is called in logs")->required();
    command
        ->add_option("--grants", options->grants, "What it may do, as JSON: {\"channels\":{\"PATTERN\":[\"publish\"]}}")
        ->required();
    command->add_option("--append", options->file, "Append the line to this file, and print the key alone");
    command->callback([options] { make_key(*options); });
}

}  // namespace weft

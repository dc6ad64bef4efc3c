// weftctl keygen curve: the key of a node in a mesh, for mesh.curve of weftd.yaml.
#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>

#include "command.hpp"

namespace weft {

namespace {

using KeyText = std::array<char, 41>;  // Z85, and a zero

struct CurveOptions {
    std::string file, node;
};

/// Never replaces a file: the key in it may be a node's.
void write_secret(const std::string& path, const std::string& text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) throw Failure("can't make " + path + ": " + std::strerror(errno));
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (::close(fd) != 0 || !written) {
        ::unlink(path.c_str());
        throw Failure("can't write " + path);
    }
}

void make_key(const CurveOptions& options) {
    if (zmq_has("curve") != 1) throw Failure("this libzmq is built without CURVE");
    if (options.node.find_first_of(" \t\n#") != std::string::npos) {
        throw UsageError("--node " + options.node + ": expected a node's name");
    }
    KeyText open{}, secret{};
    if (zmq_curve_keypair(open.data(), secret.data()) != 0) throw Failure("libzmq could make no key");
    const std::string line = open.data() + (options.node.empty() ? "" : " " + options.node);
    std::string text =
        "# The secret key of a weftd (mesh.curve.secret_key). Its public key:\n# " + line + "\n" + secret.data() + "\n";
    write_secret(options.file, text);
    OPENSSL_cleanse(text.data(), text.size());
    OPENSSL_cleanse(secret.data(), secret.size());
    std::cout << line << '\n';
}

}  // namespace

void add_keygen_curve_command(CLI::App& keygen) {
    auto options = std::make_shared<CurveOptions>();
    CLI::App* command = keygen.add_subcommand(
        "curve", "Make the key of a node in a mesh; print its public part, a line for mesh.curve.allow of the nodes");
    command->add_option("file", options->file, "New file for the secret key (mode 0600)")->required();
    command->add_option("--node", options->node, "The node's name, if no other may use this key");
    command->callback([options] { make_key(*options); });
}

}  // namespace weft

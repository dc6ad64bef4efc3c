// A link to a running weftd, for commands that ask it for something.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "weft/v1/link.pb.h"

namespace weft {

class Sidecar {
public:
    static constexpr const char* kDefault = "ipc:///run/weft/weftd.sock";

    /// Where weftd listens, and how long to wait for it.
    struct Options {
        std::string address = kDefault;
        double timeout = 5;  // seconds
    };
    static void add_options(CLI::App& command, Options& options);

    /// Connects. Throws Failure when weftd can't be reached in time, or refuses.
    explicit Sidecar(const Options& options);
    ~Sidecar();

    /// Sends a frame whose request number is 1, and waits for its answer: Published, RpcResult. Throws Failure when the
    /// answer is Failed, or doesn't come in time.
    v1::Frame ask(const v1::Frame& frame);

private:
    class Session;
    std::unique_ptr<Session> session_;
};

}  // namespace weft

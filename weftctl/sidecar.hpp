// A link to a running weftd, for commands that ask it for something.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

    /// Connects; to the shard that has `channel`, where weftd has several. Throws Failure when weftd can't be reached
    /// in time, or refuses.
    explicit Sidecar(const Options& options, std::string_view channel = {});
    ~Sidecar();

    /// Sends a frame whose request number is 1, and waits for the frame that answers it. Throws Failure when the answer
    /// is Failed, or doesn't come in time.
    v1::Frame ask(const v1::Frame& frame);

    /// Throws Failure when weftd is of a version that doesn't answer v1::ReadClients.
    void expect_clients() const;

    /// Asks every shard of weftd the same.
    static std::vector<v1::Frame> ask_all(const Options& options, const v1::Frame& frame);

    /// Waits for the next frame that answers nothing: what a Subscribe brought. No value: `stopped` was set, or the
    /// link was lost and is there again (`lost`), so that what was asked for must be asked for again.
    std::optional<v1::Frame> next(const volatile std::sig_atomic_t& stopped, bool& lost);
    /// Sends a frame without waiting.
    void send(const v1::Frame& frame);

private:
    class Session;
    explicit Sidecar(std::unique_ptr<Session> session);
    static std::unique_ptr<Session> dial(const Options& options, unsigned shards, unsigned shard);
    std::unique_ptr<Session> session_;
};

}  // namespace weft

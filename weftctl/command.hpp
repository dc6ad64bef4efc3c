// weftctl's commands. Each adds itself to the command line; its callback throws Failure when it can't do its work.
#pragma once

#include <CLI/CLI.hpp>
#include <stdexcept>
#include <string>

namespace weft {

/// Told on stderr as one line; weftctl then exits with 1. (2 is for wrong usage: CLI::Error, or UsageError.)
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void add_ticket_command(CLI::App& app);
void add_keygen_command(CLI::App& app);
void add_keygen_curve_command(CLI::App& keygen);
void add_revoke_commands(CLI::App& app);
void add_jwks_command(CLI::App& app);
void add_apikey_command(CLI::App& app);
void add_publish_command(CLI::App& app);
void add_subscribe_command(CLI::App& app);
void add_history_command(CLI::App& app);
void add_presence_command(CLI::App& app);
void add_rpc_command(CLI::App& app);
void add_channels_command(CLI::App& app);
void add_clients_command(CLI::App& app);
void add_nodes_command(CLI::App& app);
void add_top_command(CLI::App& app);
void add_check_command(CLI::App& app);
void add_completion_command(CLI::App& app);
void add_version_command(CLI::App& app);

/// `size` random bytes from the operating system's generator.
std::string random_bytes(std::size_t size);

}  // namespace weft

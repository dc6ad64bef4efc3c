// Commands that ask weftd something: what they have in common, in the same words.
#pragma once

#include <memory>
#include <string>

#include "command.hpp"
#include "sidecar.hpp"

namespace weft {

/// Adds a command. Its Options have a `sidecar`, a flag `json` if it prints what programs may read, and what
/// `add_own(command, options)` adds. `run(options)` is called for it.
template <class Options, class AddOwn, class Run>
void add_query(CLI::App& app, const std::string& name, const std::string& what, AddOwn add_own, Run run) {
    auto options = std::make_shared<Options>();
    CLI::App& command = *app.add_subcommand(name, what);
    add_own(command, *options);
    if constexpr (requires { options->json; }) {
        command.add_flag("--json", options->json, "Print JSON, an object a line");
    }
    Sidecar::add_options(command, options->sidecar);
    command.callback([options, run] { run(*options); });
}

inline void add_channel(CLI::App& command, std::string& channel) {
    command.add_option("channel", channel)->required();
}

}  // namespace weft

#include <iostream>

#include "command.hpp"

namespace weft {

void add_version_command(CLI::App& app) {
    app.add_subcommand("version", "Print the version")->callback([] { std::cout << "weftctl " WEFT_VERSION "\n"; });
}

}  // namespace weft

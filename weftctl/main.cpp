// weftctl: what operators and tests do by hand.
#include <exception>
#include <iostream>

#include "command.hpp"

int main(int argc, char** argv) {
    constexpr int kFailed = 1;
    constexpr int kUsage = 2;
    CLI::App app("weftctl: channels, clients, tickets and keys of Weft", "weftctl");
    app.require_subcommand(1);
    weft::add_publish_command(app);
    weft::add_subscribe_command(app);
    weft::add_history_command(app);
    weft::add_presence_command(app);
    weft::add_rpc_command(app);
    weft::add_channels_command(app);
    weft::add_clients_command(app);
    weft::add_nodes_command(app);
    weft::add_top_command(app);
    weft::add_ticket_command(app);
    weft::add_keygen_command(app);
    weft::add_revoke_commands(app);
    weft::add_jwks_command(app);
    weft::add_apikey_command(app);
    weft::add_check_command(app);
    weft::add_completion_command(app);
    weft::add_version_command(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::Error& error) {
        app.exit(error);
        return kUsage;
    } catch (const weft::UsageError& error) {
        std::cerr << "weftctl: " << error.what() << '\n';
        return kUsage;
    } catch (const std::exception& error) {
        std::cerr << "weftctl: " << error.what() << '\n';
        return kFailed;
    }
    std::cout.flush();
    if (!std::cout) {
        std::cerr << "weftctl: the output could not be written\n";
        return kFailed;
    }
    return 0;
}

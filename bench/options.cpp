#include "options.hpp"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

namespace weft::bench {
namespace {

sockaddr_in parse_address(const std::string& text) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const auto colon = text.rfind(':');
    const int port = colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
    if (port < 1 || port > 65535 || inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
        throw CLI::ValidationError("--connect", "expected an IPv4 address and a port, as in 127.0.0.1:8080");
    }
    // A load generator with a wrong address is a weapon; this one measures the machine that it runs on.
    if ((ntohl(address.sin_addr.s_addr) >> 24) != 127)
        throw CLI::ValidationError("--connect", "only loopback addresses are allowed");
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

Server parse_server(const std::string& text) {
    const auto equals = text.find('=');
    const int pid = equals == std::string::npos ? 0 : std::atoi(text.c_str() + equals + 1);
    if (pid < 1) throw CLI::ValidationError("--server", "expected a name and a process id, as in nginx=1234");
    return {text.substr(0, equals), pid};
}

}  // namespace

Options parse_options(int argc, char** argv) {
    Options options;
    std::string address;
    std::vector<std::string> servers;
    CLI::App app{
        "weft-load: loads a WebSocket or event-stream publish/subscribe server on this machine and measures it.\n"
        "The result is one JSON object on standard output."};
    app.require_subcommand(1);
    app.fallthrough();

    app.add_option("--dialect", options.dialect.name, "weft, nchan, ws or socketio")->default_val("weft");
    app.add_option("--label", options.label, "name of the server in the result");
    app.add_option("--connect", address, "address of the server, 127.0.0.1:PORT");
    app.add_flag("--tls", options.tls, "speak TLS 1.3; the certificate is not verified");
    auto* sse = app.add_flag("--sse", options.dialect.sse, "subscribers listen by server-sent events (weft, nchan)");
    auto* poll =
        app.add_flag("--poll", options.dialect.poll, "subscribers ask again and again (weft, nchan)")->excludes(sse);
    app.add_flag("--raw", options.dialect.raw, "subscribers get the data alone (weft)")->excludes(sse)->excludes(poll);
    app.add_option("--path", options.dialect.path, "request path (weft, ws)");
    app.add_option("--ticket", options.dialect.ticket, "weft: ticket to present");
    app.add_option("--ticket-key", options.dialect.key_file, "weft: file of the HS256 key to sign a ticket with");
    app.add_option("--server", servers, "NAME=PID of a server process, whose descendants count too; repeatable");
    app.add_option("--seconds", options.seconds, "length of the measurement")->capture_default_str();
    app.add_option("--warmup", options.warmup, "seconds of the same load before it")->capture_default_str();
    app.add_option("--concurrency", options.concurrency, "handshakes under way at once")
        ->capture_default_str()
        ->check(CLI::Range(1, 4096));

    auto* fanout = app.add_subcommand("fanout", "publications to many subscribers: deliveries a second, latency, loss");
    bool saturate = false;
    fanout->add_option("--channels", options.channels)->capture_default_str()->check(CLI::Range(1, 100000));
    fanout->add_option("--subscribers-per-channel", options.subscribers_per_channel)
        ->capture_default_str()
        ->check(CLI::Range(1, 100000));
    fanout->add_option("--publishers", options.publishers)->capture_default_str()->check(CLI::Range(1, 1000));
    fanout->add_option("--payload", options.payload, "bytes of a publication")
        ->capture_default_str()
        ->check(CLI::Range(40, 60000));
    auto* rate = fanout->add_option("--rate", options.rate, "publications a second over all channels");
    fanout->add_flag("--saturate", saturate, "as fast as deliveries come back (the default)")->excludes(rate);
    fanout->add_option("--window", options.window, "publications in flight while saturating")
        ->capture_default_str()
        ->check(CLI::Range(1, 65536));

    auto* reloads = fanout
                        ->add_option("--reloads", options.reloads,
                                     "SIGHUPs to --server nginx=PID, evenly over the measurement. Who is cut off "
                                     "connects again at once; such runs are never stopped for it")
                        ->check(CLI::Range(1, 100000));
    reloads->needs(rate);

    auto* latency = app.add_subcommand("latency", "one publisher, one subscriber, nothing else: publish to deliver");
    latency->add_option("--rate", options.rate, "publications a second; 200 unless given");

    auto* idle = app.add_subcommand("idle", "memory of the server per connection that has one subscription");
    idle->add_option("--connections", options.connections)->capture_default_str()->check(CLI::Range(10, 100000));
    idle->add_option("--channels", options.channels, "over which the connections are spread")
        ->capture_default_str()
        ->check(CLI::Range(1, 100000));

    auto* handshakes = app.add_subcommand("handshakes", "connections opened and reset as fast as the server lets");
    handshakes->add_flag("--until-ready", options.until_ready, "count subscriptions, not upgrades");

    auto* openssl = app.add_subcommand("openssl-memory", "what OpenSSL alone keeps for a server's TLS 1.3 connection");
    openssl->add_option("--connections", options.connections)->capture_default_str()->check(CLI::Range(10, 100000));
    openssl->add_option("--certificate", options.certificate, "of the server, PEM")
        ->required()
        ->check(CLI::ExistingFile);
    openssl->add_option("--key", options.key, "of the certificate, PEM")->required()->check(CLI::ExistingFile);

    app.add_subcommand("free-port", "prints a port of 127.0.0.1 that is free at this moment");

    try {
        app.parse(argc, argv);
        options.scenario = app.get_subcommands().front()->get_name();
        if (options.scenario != "free-port" && options.scenario != "openssl-memory")
            options.address = parse_address(address);
        for (const auto& text : servers) options.servers.push_back(parse_server(text));
        if (options.reloads > 0 && std::ranges::find(options.servers, "nginx", &Server::name) == options.servers.end())
            throw CLI::ValidationError("--reloads", "needs --server nginx=PID, the master that is to reload");
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error));
    }
    if (options.label.empty()) options.label = options.dialect.name;
    if (options.scenario == "latency") {
        options.channels = options.subscribers_per_channel = options.publishers = 1;
        if (options.rate <= 0) options.rate = 200;
    }
    return options;
}

}  // namespace weft::bench

// weft-load: one scenario against one server. bench/run.sh runs it against several in turn and compares.
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "scenario.hpp"

namespace {

using namespace weft::bench;

void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int print_free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        std::perror("weft-load: free-port");
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    close(fd);
    return 0;
}

JsonObject run(const Options& options, const Dialect& dialect) {
    if (options.scenario == "idle") return run_idle(options, dialect);
    if (options.scenario == "handshakes") return run_handshakes(options, dialect);
    return run_fanout(options, dialect);
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse_options(argc, argv);
    if (options.scenario == "free-port") return print_free_port();
    raise_file_limit();
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
    try {
        if (options.scenario == "openssl-memory") {
            std::printf("%s\n", run_openssl_memory(options).text().c_str());
            return 0;
        }
        const auto dialect = make_dialect(options.dialect);
        if (!dialect) throw ScenarioError(dialect.error());
        const JsonObject figures = run(options, **dialect);
        JsonObject result;
        result.add("server", options.label).add("scenario", options.scenario).add("tls", options.tls);
        std::printf("%s\n", result.with(figures).text().c_str());
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "weft-load: %s: %s: %s\n", options.label.c_str(), options.scenario.c_str(), error.what());
        return 1;
    }
}

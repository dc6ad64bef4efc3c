// weftd: the broker that stands beside nginx.
#include <sched.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "config.hpp"
#include "io/log.hpp"
#include "io/node.hpp"
#include "shards.hpp"
#include "version.hpp"
#include "weft/quiet_protobuf.hpp"

namespace weft {
namespace {

constexpr int kUsage = 2;   // exit codes
constexpr int kFailed = 1;  // the configuration or the start

struct Options {
    std::string file;
    std::string node;
    std::string listen;
    std::string log_level;
    bool check = false;
};

/// What holds: the defaults, then the file, then the command line.
tl::expected<Config, ConfigErrors> configure(const Options& options) {
    Config config = default_config();
    if (!options.file.empty()) {
        auto loaded = load_config(options.file, config);
        if (!loaded) return loaded;
        config = std::move(*loaded);
    }
    ConfigErrors errors;
    const auto override = [&](const char* option, const std::string& text, auto set) {
        if (text.empty()) return;
        if (std::string wrong = set(config, text); !wrong.empty()) {
            errors.push_back({"command line", 0, 0, option, std::move(wrong)});
        }
    };
    override("--node", options.node, set_node);
    override("--listen", options.listen, set_workers_listen);
    override("--log-level", options.log_level, set_log_level);
    if (std::string wrong = wrong_shards(config); errors.empty() && !wrong.empty()) {
        errors.push_back({"command line", 0, 0, "shards", std::move(wrong)});
    }
    if (!errors.empty()) return tl::unexpected(std::move(errors));
    return config;
}

/// For this thread and all that it starts: under SCHED_BATCH (sched(7)) waking weftd doesn't take the core away from
/// the worker that has just sent something, where both share one; weftd then finds more at once. Another policy that an
/// operator chose stays.
void schedule_as_batch() {
    const sched_param none{};
    if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
}

int serve(const Options& options) {
    const auto config = configure(options);
    if (!config) {
        for (const ConfigError& error : config.error()) std::fprintf(stderr, "%s\n", error.text().c_str());
        return kFailed;
    }
    if (options.check) {
        std::printf("configuration %s is ok\n", options.file.empty() ? "(defaults)" : options.file.c_str());
        return 0;
    }
    Log log(config->log);
    schedule_as_batch();
    silence_protobuf();
    try {
        Node::Reload reload;
        if (!options.file.empty()) reload = [&options] { return configure(options); };
        Node(*config, std::move(reload), log).run();
        return 0;
    } catch (const std::exception& error) {
        log.error("failed", {{"why", error.what()}});
        return kFailed;
    }
}

int run(int argc, char** argv) {
    Options options;
    CLI::App app(
        "The broker beside nginx: routes what nginx workers publish, to workers here and to peers in the mesh.",
        "weftd");
    app.add_option("-c,--config", options.file, "weftd.yaml; without it the defaults hold: one node, no peers");
    app.add_flag("--check", options.check, "check the configuration, say what is wrong, and exit (0: ok, 1: not)");
    app.add_option("--node", options.node, "this node's name, instead of the file's");
    app.add_option("--listen", options.listen, "where nginx workers dial, instead of the file's workers.listen");
    app.add_option("--log-level", options.log_level, "debug, info, warn or error, instead of the file's");
    app.set_version_flag("--version", std::string(kSoftware));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    return serve(options);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    return weft::run(argc, argv);
}

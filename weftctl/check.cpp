// weftctl check: nginx's configuration and weftd's, each by itself and whether they fit each other.
#include <sys/stat.h>
#include <sys/wait.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <regex>

#include "command.hpp"
#include "json_line.hpp"
#include "sidecar.hpp"

namespace weft {

namespace {

struct Options {
    std::string nginx = "nginx", nginx_conf, prefix, weftd = "weftd", weftd_config;
    bool json = false;
};

/// What a program printed, on both outputs, and whether it ended well.
struct Outcome {
    bool ok;
    std::string output;
};

std::string quoted_for_shell(const std::string& word) {
    std::string quoted = "'";
    for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + '\'';
}

Outcome run_program(const std::vector<std::string>& words) {
    std::string command;
    for (const std::string& word : words) command += quoted_for_shell(word) + ' ';
    std::FILE* const pipe = ::popen((command + "2>&1").c_str(), "r");
    if (pipe == nullptr) throw Failure("can't run " + words.front());
    Outcome outcome{};
    std::array<char, 4096> buffer;
    for (std::size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
        outcome.output.append(buffer.data(), got);
    }
    const int status = ::pclose(pipe);
    outcome.ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return outcome;
}

/// What is found, a line each.
class Findings {
public:
    explicit Findings(bool json) : json_(json) {}

    void add(const char* about, bool ok, const std::string& text) {
        failed_ = failed_ || !ok;
        if (json_) {
            std::cout << JsonLine().text("check", about).boolean("ok", ok).text("message", text).str() << '\n';
        } else {
            std::cout << (ok ? "ok      " : "problem ") << about << ": " << text << '\n';
        }
    }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    bool json_;
    bool failed_ = false;
};

std::string last_line(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

/// Where weftd listens for workers, by its configuration.
std::string weftd_address(const Options& options) {
    if (options.weftd_config.empty()) return Sidecar::kDefault;
    const YAML::Node file = YAML::LoadFile(options.weftd_config);
    if (!file.IsMap() || !file["workers"] || !file["workers"]["listen"]) return Sidecar::kDefault;
    return file["workers"]["listen"].as<std::string>();
}

/// Where nginx dials, by all of its configuration; empty when Weft isn't used there.
std::string nginx_address(const std::string& dump) {
    const std::regex directive(R"re((?:^|[\n;{}])\s*weft_sidecar\s+(?:"([^"]*)"|'([^']*)'|([^\s;]+))\s*;)re");
    std::smatch found;
    if (std::regex_search(dump, found, directive)) {
        for (std::size_t i = 1; i < found.size(); ++i) {
            if (found[i].matched) return found[i];
        }
    }
    const std::regex used(R"((?:^|[\n;{}])\s*weft_(?!zone|drain)\w+)");
    return std::regex_search(dump, used) ? Sidecar::kDefault : "";
}

void check_fit(const Options& options, const std::string& dump, Findings& findings) {
    const std::string dialed = nginx_address(dump);
    if (dialed.empty()) {
        findings.add("together", false,
                     "nginx's configuration has no directive of Weft, expected weft_websocket or another");
        return;
    }
    const std::string listened = weftd_address(options);
    if (dialed != listened) {
        findings.add("together", false,
                     "nginx dials " + dialed + " (weft_sidecar) and weftd listens at " + listened +
                         " (workers.listen), expected the same");
        return;
    }
    findings.add("together", true, "nginx dials where weftd listens, " + dialed);
}

/// Whether a weftd answers there now.
void check_running(const std::string& address, Findings& findings) {
    Sidecar::Options options;
    options.address = address;
    options.timeout = 2;
    try {
        const Sidecar sidecar(options);
        findings.add("running", true, "a weftd answers at " + address);
    } catch (const Failure& failure) {
        findings.add("running", false, failure.what());
    }
}

void run(const Options& options, bool running) {
    Findings findings(options.json);
    std::vector<std::string> nginx = {options.nginx};
    if (!options.nginx_conf.empty()) nginx.insert(nginx.end(), {"-c", options.nginx_conf});
    if (!options.prefix.empty()) nginx.insert(nginx.end(), {"-p", options.prefix});
    nginx.emplace_back("-T");
    const Outcome dump = run_program(nginx);
    // -T prints the configuration behind what -t says.
    findings.add("nginx", dump.ok, last_line(dump.output.substr(0, dump.output.find("# configuration file "))));
    std::vector<std::string> weftd = {options.weftd, "--check"};
    if (!options.weftd_config.empty()) weftd.insert(weftd.end(), {"--config", options.weftd_config});
    const Outcome checked = run_program(weftd);
    findings.add("weftd", checked.ok, last_line(checked.output));
    if (dump.ok && checked.ok) check_fit(options, dump.output, findings);
    if (running && checked.ok) check_running(weftd_address(options), findings);
    if (findings.failed()) throw Failure("the configuration has problems");
}

}  // namespace

void add_check_command(CLI::App& app) {
    auto options = std::make_shared<Options>();
    auto running = std::make_shared<bool>(false);
    CLI::App& command = *app.add_subcommand("check", "Check the configurations of nginx and weftd, and that they fit");
    command.add_option("--nginx-conf", options->nginx_conf, "nginx.conf; default: nginx's own");
    command.add_option("--prefix", options->prefix, "nginx's prefix; default: its own");
    command.add_option("--weftd-config", options->weftd_config, "weftd.yaml; default: none, and so weftd's defaults")
        ->check(CLI::ExistingFile);
    command.add_option("--nginx", options->nginx, "nginx's binary")->capture_default_str();
    command.add_option("--weftd", options->weftd, "weftd's binary")->capture_default_str();
    command.add_flag("--running", *running, "Check that weftd answers, too");
    command.add_flag("--json", options->json, "Print JSON, an object a line");
    command.callback([options, running] { run(*options, *running); });
}

}  // namespace weft

#include "config.hpp"

#include <arpa/inet.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include "config_hooks.hpp"
#include "config_reader.hpp"
#include "endpoint.hpp"
#include "shards.hpp"
#include "units.hpp"
#include "weft/shard.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxNodeName = 64;
constexpr std::uint64_t kMinMemory = 1ULL << 20;
constexpr std::uint64_t kMaxMemory = 1ULL << 40;
constexpr std::size_t kMaxPeers =
    64;  // of one node; beyond about 16 an outside engine serves better (DESIGN, "The mesh")

// Every key there is: unknown ones are compared with these, so that a key in the wrong place is recognised too.
constexpr std::string_view kKeys[] = {
    "node",
    "shards",
    "workers",
    "workers.listen",
    "workers.mode",
    "workers.group",
    "mesh",
    "mesh.listen",
    "mesh.peers",
    "mesh.resolve",
    "mesh.heartbeat",
    "mesh.dead",
    "mesh.sync",
    "mesh.member_timeout",
    "mesh.insecure",
    "mesh.curve",
    "mesh.curve.secret_key",
    "mesh.curve.allow",
    "log",
    "log.format",
    "log.level",
    "limits",
    "limits.queue",
    "limits.max_channels",
    "limits.channel_linger",
    "history",
    "history.max_bytes",
    "publish",
    "publish.ack_timeout",
    "publish.id_window",
    "publish.id_bytes",
    "http",
    "hooks",
    "hooks.rpc",
    "hooks.rpc.methods",
    "hooks.connect",
    "hooks.subscribe",
    "hooks.subscribe.channels",
    "hooks.publish",
    "hooks.publish.channels",
    "hooks.disconnect",
    "services",
    "services.listen",
    "services.mode",
    "services.group",
    "services.timeout",
};

/// From 1 to `max`.
std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
    std::uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec != std::errc{} || parsed.ptr != end || number == 0 || number > max) return std::nullopt;
    return number;
}

class Reader : private ConfigReader {
public:
    Reader(std::string_view file, const Config& defaults) : ConfigReader(file, kKeys), config_(defaults) {}

    tl::expected<Config, ConfigErrors> read(std::string_view text) {
        try {
            const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
            if (documents.size() > 1) {
                fail(documents[1].Mark(), "", "a second document begins here; expected one");
            } else if (documents.size() == 1) {
                read_document(documents[0]);
            }
        } catch (const YAML::Exception& error) {
            fail(error.mark, "", "not YAML: " + error.msg);
        }
        if (std::string wrong = wrong_shards(config_); !wrong.empty()) fail(shards_mark_, "shards", std::move(wrong));
        if (ConfigErrors errors = take_errors(); !errors.empty()) return tl::unexpected(std::move(errors));
        return std::move(config_);
    }

private:
    void read_document(const YAML::Node& root) {
        read_map(root, "",
                 {{"node", value("a name", [this](const std::string& text) { return set_node(config_, text); })},
                  {"shards", [this](const YAML::Node& node, const std::string& key) { read_shards(node, key); }},
                  {"workers", [this](const YAML::Node& node, const std::string& key) { read_workers(node, key); }},
                  {"mesh", [this](const YAML::Node& node, const std::string& key) { read_mesh(node, key); }},
                  {"log", [this](const YAML::Node& node, const std::string& key) { read_log(node, key); }},
                  {"limits", [this](const YAML::Node& node, const std::string& key) { read_limits(node, key); }},
                  {"history", [this](const YAML::Node& node, const std::string& key) { read_history(node, key); }},
                  {"http", value("an address such as 127.0.0.1:7480, or off",
                                 [this](const std::string& text) { return set_http(config_, text); })},
                  {"publish", [this](const YAML::Node& node, const std::string& key) { read_publish(node, key); }},
                  {"hooks", [this](const YAML::Node& node,
                                   const std::string& key) { read_hooks(*this, node, key, config_.hooks); }},
                  {"services", [this](const YAML::Node& node, const std::string& key) {
                       read_services(*this, node, key, config_.services);
                   }}});
    }

    void read_shards(const YAML::Node& node, const std::string& key) {
        shards_mark_ = node.Mark();
        value("a number", [this](const std::string& text) -> std::string {
            const auto number = parse_number(text, kMaxShards);
            if (!number)
                return quoted(text) + " is not a number of shards; expected 1 to " + std::to_string(kMaxShards);
            config_.shards = static_cast<unsigned>(*number);
            return {};
        })(node, key);
    }

    void read_workers(const YAML::Node& map, const std::string& parent) {
        YAML::Mark file_key = YAML::Mark::null_mark();  // of a key that only a socket's file can have
        std::string file_key_name;
        const auto note = [&](const YAML::Node& node, const std::string& key) {
            file_key = node.Mark();
            file_key_name = key;
        };
        read_map(map, parent,
                 {{"listen", value("an endpoint such as ipc:///run/weft/weftd.sock",
                                   [this](const std::string& text) { return set_workers_listen(config_, text); })},
                  {"mode",
                   [this, note](const YAML::Node& node, const std::string& key) {
                       note(node, key);
                       file_mode(*this, config_.workers.mode)(node, key);
                   }},
                  {"group", [this, note](const YAML::Node& node, const std::string& key) {
                       note(node, key);
                       file_group(*this, config_.workers.group)(node, key);
                   }}});
        const auto endpoint = Endpoint::parse(config_.workers.listen, Endpoint::Use::listen);
        if (endpoint && !endpoint->has_file() && !file_key_name.empty()) {
            fail(file_key, file_key_name,
                 quoted(endpoint->text) + " has no file; expected it with an ipc:///PATH only");
        }
    }

    void read_mesh(const YAML::Node& map, const std::string& parent) {
        struct Place {
            Endpoint endpoint;
            YAML::Mark mark;
            std::string key;
        };
        std::vector<Place> places;  // those that leave this host, for the check of `insecure`
        YAML::Mark peers_mark = map.Mark();
        YAML::Mark dead_mark = map.Mark();

        const auto endpoint = [&](const YAML::Node& node, const std::string& key,
                                  Endpoint::Use use) -> std::optional<std::string> {
            const auto text = scalar(node, key, "an endpoint such as tcp://10.0.0.1:7400");
            if (!text) return std::nullopt;
            const auto parsed = Endpoint::parse(*text, use);
            if (!parsed) {
                fail(node.Mark(), key, parsed.error());
                return std::nullopt;
            }
            if (!parsed->local()) places.push_back({*parsed, node.Mark(), key});
            return *text;
        };

        read_map(
            map, parent,
            {{"listen",
              [&](const YAML::Node& node, const std::string& key) {
                  if (auto text = endpoint(node, key, Endpoint::Use::listen)) config_.mesh.listen = *text;
              }},
             {"peers",
              [&](const YAML::Node& node, const std::string& key) {
                  peers_mark = node.Mark();
                  config_.mesh.peers.clear();
                  if (node.IsNull()) return;
                  if (!node.IsSequence()) {
                      fail(node.Mark(), key, "is not a list; expected endpoints such as [tcp://10.0.0.2:7400]");
                      return;
                  }
                  if (node.size() > kMaxPeers) {
                      fail(node.Mark(), key,
                           "has " + std::to_string(node.size()) + " peers; expected at most " +
                               std::to_string(kMaxPeers));
                      return;
                  }
                  for (const YAML::Node& item : node) {
                      const auto text = endpoint(item, key, Endpoint::Use::dial);
                      if (!text) continue;
                      if (std::ranges::find(config_.mesh.peers, *text) != config_.mesh.peers.end()) {
                          fail(item.Mark(), key, quoted(*text) + " is listed twice; expected once");
                          continue;
                      }
                      config_.mesh.peers.push_back(*text);
                  }
              }},
             {"resolve", duration(config_.mesh.resolve, milliseconds(100), std::chrono::hours(1))},
             {"heartbeat", duration(config_.mesh.heartbeat, milliseconds(50), std::chrono::minutes(1))},
             {"dead",
              [&](const YAML::Node& node, const std::string& key) {
                  dead_mark = node.Mark();
                  duration(config_.mesh.dead, milliseconds(100), std::chrono::minutes(10))(node, key);
              }},
             {"sync", duration(config_.mesh.sync, milliseconds(100), std::chrono::minutes(10))},
             {"member_timeout", duration(config_.mesh.member_timeout, milliseconds(100), std::chrono::minutes(10))},
             {"insecure", value("true or false",
                                [this](const std::string& text) -> std::string {
                                    if (text != "true" && text != "false") {
                                        return quoted(text) + " is neither; expected true or false";
                                    }
                                    config_.mesh.insecure = text == "true";
                                    return {};
                                })},
             {"curve", [this](const YAML::Node& node, const std::string& key) { read_curve(node, key); }}});

        const bool encrypted = config_.mesh.curve != Config::Mesh::Curve{};
        if (!config_.mesh.insecure && !encrypted) {
            for (const Place& place : places) {
                fail(place.mark, place.key,
                     quoted(place.endpoint.text) +
                         " leaves this host unencrypted; expected mesh.curve, a loopback address, or mesh.insecure: "
                         "true");
            }
        } else if (config_.mesh.insecure && encrypted) {
            fail(map.Mark(), parent, "has both curve and insecure: true; expected one of them");
        }
        if (config_.mesh.dead < 2 * config_.mesh.heartbeat) {
            fail(dead_mark, "mesh.dead",
                 quoted(format_duration(config_.mesh.dead)) + " is too short for a heartbeat of " +
                     format_duration(config_.mesh.heartbeat) + "; expected at least twice that");
        }
        if (!config_.mesh.peers.empty() && config_.mesh.listen.empty()) {
            fail(peers_mark, "mesh.peers",
                 "needs mesh.listen; expected both, because peers fetch from there what is published here");
        }
    }

    void read_curve(const YAML::Node& map, const std::string& parent) {
        const auto path = [this](std::string& out) {
            return value("a file's path", [&out](const std::string& text) -> std::string {
                if (text.empty()) return "is empty; expected a file's path";
                out = text;
                return {};
            });
        };
        Config::Mesh::Curve& curve = config_.mesh.curve;
        read_map(map, parent, {{"secret_key", path(curve.secret_key)}, {"allow", path(curve.allow)}});
        if (good() && (curve.secret_key.empty() || curve.allow.empty())) {
            fail(map.Mark(), parent, "expected both secret_key and allow, each a file's path");
        }
    }  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): it doesn't follow a std::function to its end

    void read_log(const YAML::Node& map, const std::string& parent) {
        read_map(map, parent,
                 {{"format", value("text or json",
                                   [this](const std::string& text) -> std::string {
                                       if (text == "text") {
                                           config_.log.format = LogFormat::text;
                                       } else if (text == "json") {
                                           config_.log.format = LogFormat::json;
                                       } else {
                                           return quoted(text) + " is not a log format; expected text or json";
                                       }
                                       return {};
                                   })},
                  {"level", value("debug, info, warn or error",
                                  [this](const std::string& text) { return set_log_level(config_, text); })}});
    }

    void read_history(const YAML::Node& map, const std::string& parent) {
        read_map(map, parent,
                 {{"max_bytes", size(config_.history.max_bytes, kMinMemory, kMaxMemory, "a size such as 256m")}});
    }

    void read_publish(const YAML::Node& map, const std::string& parent) {
        read_map(map, parent,
                 {{"ack_timeout", duration(config_.publish.ack_timeout, milliseconds(100), std::chrono::minutes(1))},
                  {"id_window", duration(config_.publish.id_window, std::chrono::seconds(1), std::chrono::hours(24))},
                  {"id_bytes", size(config_.publish.id_bytes, kMinMemory, kMaxMemory, "a size such as 256m")}});
    }

    void read_limits(const YAML::Node& map, const std::string& parent) {
        constexpr std::uint64_t kMaxChannels = 100'000'000;
        constexpr std::uint64_t kMaxQueue = 16ULL << 30;
        read_map(map, parent,
                 {{"max_channels", value("a number",
                                         [this](const std::string& text) -> std::string {
                                             const auto number = parse_number(text, kMaxChannels);
                                             if (!number) {
                                                 return quoted(text) + " is not a number of channels; expected 1 to " +
                                                        std::to_string(kMaxChannels);
                                             }
                                             config_.limits.max_channels = *number;
                                             return {};
                                         })},
                  {"queue", size(config_.limits.queue, kMinLinkQueue, kMaxQueue, "a size such as 64m")},
                  {"channel_linger",
                   duration(config_.limits.channel_linger, std::chrono::seconds(1), std::chrono::hours(24))}});
    }

    Config config_;
    YAML::Mark shards_mark_ = YAML::Mark::null_mark();
};

}  // namespace

std::string ConfigError::text() const {
    std::string out = file;
    if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
    out += ": ";
    if (!key.empty()) out += key + ": ";
    out += message;
    // One error is one line, whatever was quoted from the file.
    std::ranges::replace_if(
        out, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    return out;
}

bool is_node_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kMaxNodeName && std::ranges::all_of(text, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    });
}

Config default_config() {
    Config config;
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) != 0 || !is_node_name(name)) std::strcpy(name, "localhost");
    config.node = name;
    return config;
}

tl::expected<Config, ConfigErrors> parse_config(std::string_view text, std::string_view file, const Config& defaults) {
    return Reader(file, defaults).read(text);
}

tl::expected<Config, ConfigErrors> load_config(const std::string& path, const Config& defaults) {
    const auto fail = [&](std::string message) {
        return tl::unexpected(ConfigErrors{{path, 0, 0, "", std::move(message)}});
    };
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    std::string text(kMaxConfigBytes + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad() || (in.gcount() == 0 && errno != 0))
        return fail(std::string("can't be read: ") + std::strerror(errno));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMaxConfigBytes) return fail("is too large; expected at most " + format_size(kMaxConfigBytes));
    return parse_config(text, path, defaults);
}

std::string set_node(Config& config, std::string_view text) {
    if (!is_node_name(text)) {
        return quoted(text) + " is not a node's name; expected 1 to " + std::to_string(kMaxNodeName) +
               " letters, digits, dots, dashes or underscores";
    }
    config.node = text;
    return {};
}

std::string Config::Http::text() const {
    if (port == 0) return "off";
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

std::string set_http(Config& config, std::string_view text) {
    if (text == "off") {
        config.http = {};
        return {};
    }
    const auto wrong = [&] {
        return quoted(text) + " is not an address; expected an IP address and a port such as 127.0.0.1:7480, or off";
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong();
    std::string host(text.substr(0, colon));
    const std::string_view digits = text.substr(colon + 1);
    int port = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() || port < 1 || port > 65535) return wrong();
    const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (v6) host = host.substr(1, host.size() - 2);
    unsigned char address[16];
    if (::inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), address) != 1) return wrong();
    config.http = {std::move(host), port};
    return {};
}

std::string set_workers_listen(Config& config, std::string_view text) {
    const auto endpoint = Endpoint::parse(text, Endpoint::Use::listen);
    if (!endpoint) return endpoint.error();
    // Whoever reaches this socket may publish anything, so it never leaves the host.
    if (!endpoint->local())
        return quoted(text) + " can be reached from outside; expected ipc:///PATH or a loopback address";
    config.workers.listen = text;
    return {};
}

std::string set_log_level(Config& config, std::string_view text) {
    constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
        {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warn", LogLevel::warn}, {"error", LogLevel::error}};
    for (const auto& [name, level] : kLevels) {
        if (text == name) {
            config.log.level = level;
            return {};
        }
    }
    return quoted(text) + " is not a log level; expected debug, info, warn or error";
}

std::vector<std::string> keys_that_need_a_restart(const Config& running, const Config& wanted) {
    std::vector<std::string> keys;
    const auto compare = [&](std::string_view key, const auto& a, const auto& b) {
        if (a != b) keys.emplace_back(key);
    };
    compare("node", running.node, wanted.node);
    compare("shards", running.shards, wanted.shards);
    compare("workers.listen", running.workers.listen, wanted.workers.listen);
    compare("workers.mode", running.workers.mode, wanted.workers.mode);
    compare("workers.group", running.workers.group, wanted.workers.group);
    compare("mesh.listen", running.mesh.listen, wanted.mesh.listen);
    compare("mesh.resolve", running.mesh.resolve, wanted.mesh.resolve);
    compare("mesh.heartbeat", running.mesh.heartbeat, wanted.mesh.heartbeat);
    compare("mesh.dead", running.mesh.dead, wanted.mesh.dead);
    compare("mesh.sync", running.mesh.sync, wanted.mesh.sync);
    compare("mesh.curve.secret_key", running.mesh.curve.secret_key, wanted.mesh.curve.secret_key);
    compare("mesh.curve.allow", running.mesh.curve.allow, wanted.mesh.curve.allow);
    compare("mesh.member_timeout", running.mesh.member_timeout, wanted.mesh.member_timeout);
    compare("history.max_bytes", running.history.max_bytes, wanted.history.max_bytes);
    compare("http", running.http.text(), wanted.http.text());
    compare("publish.ack_timeout", running.publish.ack_timeout, wanted.publish.ack_timeout);
    compare("publish.id_window", running.publish.id_window, wanted.publish.id_window);
    compare("publish.id_bytes", running.publish.id_bytes, wanted.publish.id_bytes);
    compare("hooks", running.hooks, wanted.hooks);
    compare("services", running.services, wanted.services);
    compare("log.format", running.log.format, wanted.log.format);
    compare("log.level", running.log.level, wanted.log.level);
    compare("limits.max_channels", running.limits.max_channels, wanted.limits.max_channels);
    compare("limits.queue", running.limits.queue, wanted.limits.queue);
    compare("limits.channel_linger", running.limits.channel_linger, wanted.limits.channel_linger);
    return keys;
}

}  // namespace weft

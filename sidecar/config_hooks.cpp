#include "config_hooks.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

#include "call/signature.hpp"
#include "endpoint.hpp"
#include "weft/channel.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxPatterns = 64, kMaxHeaders = 32, kMaxUrl = 2048;

std::string set_url(std::string& out, const std::string& text) {
    const bool scheme = text.starts_with("http://") || text.starts_with("https://");
    const bool plain = std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c != 0x7f; });
    const std::size_t host = text.find("//") + 2;
    if (!scheme || !plain || text.size() <= host || text[host] == '/' || text.size() > kMaxUrl) {
        return quoted(text) + " is not a URL of a web server; expected one such as http://127.0.0.1:9000/weft";
    }
    out = text;
    return {};
}

std::string set_key(std::string& out, const std::string& path) {
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    std::string text(256, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!in.is_open() || in.bad()) {
        return "the file " + quoted(path) + " can't be read (" + std::strerror(errno) + "); expected one with a key";
    }
    text.resize(static_cast<std::size_t>(in.gcount()));
    auto key = parse_hook_key(text);
    if (!key) return "the file " + quoted(path) + " " + key.error();
    out = std::move(*key);
    return {};
}

void read_headers(ConfigReader& reader, const YAML::Node& map, const std::string& key,
                  std::vector<std::string>& headers) {
    if (!map.IsMap() || map.size() > kMaxHeaders) {
        reader.fail(map.Mark(), key,
                    "is not a map of at most " + std::to_string(kMaxHeaders) +
                        " headers; expected names and values such as {Authorization: Bearer abc}");
        return;
    }
    headers.clear();
    for (const auto& entry : map) {
        const bool texts = entry.first.IsScalar() && entry.second.IsScalar();
        const std::string name = texts ? entry.first.Scalar() : "";
        const std::string value = texts ? entry.second.Scalar() : "";
        const auto in_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; };
        const auto in_value = [](unsigned char c) { return c >= 0x20 && c != 0x7f; };
        if (name.empty() || value.empty() || !std::ranges::all_of(name, in_name) ||
            !std::ranges::all_of(value, in_value)) {
            reader.fail(entry.first.Mark(), key,
                        "has a header that is none; expected a name of letters, digits and dashes, and a text");
            continue;
        }
        headers.emplace_back(name).append(": ").append(value);
    }
}

/// The keys that may stand in "hooks", for all of them, and in each.
std::vector<ConfigReader::Key> common_keys(ConfigReader& reader, Config::Webhook& hook) {
    return {
        {"timeout", reader.duration(hook.timeout, milliseconds(10), std::chrono::minutes(5))},
        {"concurrency", reader.number(hook.concurrency, 1, 10'000)},
        {"queue", reader.number(hook.queue, 0, 1'000'000)},
        {"max_answer", reader.size(hook.max_answer, 1024, 8ULL << 20, "a size such as 1m")},
        {"headers",
         [&](const YAML::Node& node, const std::string& key) { read_headers(reader, node, key, hook.headers); }},
        {"key", reader.value("a file with a key", [&](const std::string& text) { return set_key(hook.key, text); })},
        {"breaker",
         [&](const YAML::Node& node, const std::string& key) {
             reader.read_map(
                 node, key,
                 {{"failures", reader.number(hook.breaker_failures, 0, 1'000'000)},
                  {"pause", reader.duration(hook.breaker_pause, milliseconds(100), std::chrono::minutes(10))}});
         }},
    };
}

template <class Pattern>
ConfigReader::Read patterns(ConfigReader& reader, std::vector<std::string>& out, std::string_view expected) {
    return [&reader, &out, expected](const YAML::Node& node, const std::string& key) {
        out = reader.list(node, key, expected, kMaxPatterns);
        for (const std::string& text : out) {
            if (auto parsed = Pattern::parse(text); !parsed) reader.fail(node.Mark(), key, parsed.error());
        }
    };
}

void read_hook(ConfigReader& reader, const YAML::Node& map, const std::string& parent, Hook which,
               Config::Webhook& hook) {
    auto keys = common_keys(reader, hook);
    keys.insert(keys.begin(),
                {"url", reader.value("a URL", [&](const std::string& text) { return set_url(hook.url, text); })});
    if (which == Hook::rpc) {
        keys.push_back({"methods", patterns<MethodPattern>(reader, hook.patterns, "patterns such as [\"orders.*\"]")});
    } else if (which == Hook::subscribe || which == Hook::publish) {
        keys.push_back({"channels", patterns<ChannelPattern>(reader, hook.patterns, "patterns such as [\"chat:*\"]")});
    }
    hook.url.clear();
    const bool had_map = map.IsMap();
    bool said = false;
    if (had_map) {
        for (const auto& entry : map) said = said || (entry.first.IsScalar() && entry.first.Scalar() == "url");
    }
    reader.read_map(map, parent, keys);
    if (!said && (had_map || map.IsNull()))
        reader.fail(map.Mark(), parent, "has no url; expected one such as {url: \"http://127.0.0.1:9000/weft\"}");
}

}  // namespace

void read_hooks(ConfigReader& reader, const YAML::Node& map, const std::string& parent,
                std::array<Config::Webhook, kHooks>& hooks) {
    Config::Webhook common;
    auto keys = common_keys(reader, common);
    // What holds for all of them may stand behind them.
    std::array<std::optional<YAML::Node>, kHooks> said;
    for (const Hook hook : kAllHooks) {
        auto& node = said[static_cast<std::size_t>(hook)];
        keys.push_back({name_of(hook), [&node](const YAML::Node& value, const std::string&) { node = value; }});
    }
    reader.read_map(map, parent, keys);
    for (const Hook hook : kAllHooks) {
        const auto& node = said[static_cast<std::size_t>(hook)];
        Config::Webhook& target = hooks[static_cast<std::size_t>(hook)];
        target = {};
        if (!node) continue;
        target = common;
        read_hook(reader, *node, parent + "." + std::string(name_of(hook)), hook, target);
    }
}

ConfigReader::Read file_mode(ConfigReader& reader, mode_t& out) {
    return reader.value("an octal mode such as \"0660\"", [&out](const std::string& text) -> std::string {
        unsigned mode = 0;
        const char* const end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, mode, 8);
        if (text.size() < 3 || text.size() > 4 || parsed.ec != std::errc{} || parsed.ptr != end || mode > 0777) {
            return quoted(text) + " is not a file mode; expected octal digits such as \"0660\"";
        }
        out = mode;
        return {};
    });
}

ConfigReader::Read file_group(ConfigReader& reader, std::string& out) {
    return reader.value("a group's name", [&out](const std::string& text) -> std::string {
        if (text.empty()) return "is empty; expected a group's name";
        out = text;
        return {};
    });
}

void read_services(ConfigReader& reader, const YAML::Node& map, const std::string& parent, Config::Services& services) {
    const auto set_listen = [&services](const std::string& text) -> std::string {
        const auto endpoint = Endpoint::parse(text, Endpoint::Use::listen);
        if (!endpoint) return endpoint.error();
        // Whoever reaches this socket may answer for the application, so it never leaves the host.
        if (!endpoint->local()) {
            return quoted(text) + " can be reached from outside; expected ipc:///PATH or a loopback address";
        }
        services.listen = text;
        return {};
    };
    reader.read_map(map, parent,
                    {{"listen", reader.value("an endpoint such as ipc:///run/weft/services.sock", set_listen)},
                     {"mode", file_mode(reader, services.mode)},
                     {"group", file_group(reader, services.group)},
                     {"timeout", reader.duration(services.timeout, milliseconds(10), std::chrono::minutes(5))}});
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): it doesn't follow a std::function to its end

}  // namespace weft

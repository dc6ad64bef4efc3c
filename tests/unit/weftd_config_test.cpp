// weftd.yaml: every key, every error, and where in the file the error is said to be.
#include <gtest/gtest.h>

#include <fstream>

#include "config.hpp"
#include "endpoint.hpp"
#include "units.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

Config defaults() {
    Config config;
    config.node = "here";
    return config;
}

Config must_parse(std::string_view text) {
    const auto config = parse_config(text, "w.yaml", defaults());
    if (!config) {
        for (const ConfigError& error : config.error()) ADD_FAILURE() << error.text();
        return defaults();
    }
    return *config;
}

std::string errors(std::string_view text) {
    const auto config = parse_config(text, "w.yaml", defaults());
    if (config) return "(no error)";
    std::string out;
    for (const ConfigError& error : config.error()) out += (out.empty() ? "" : "\n") + error.text();
    return out;
}

TEST(WeftdConfig, NeedsNoFileToStart) {
    const Config config = default_config();
    EXPECT_TRUE(is_node_name(config.node)) << config.node;
    EXPECT_EQ(config.workers.listen, "ipc:///run/weft/weftd.sock");
    EXPECT_EQ(config.workers.mode, 0660U);
    EXPECT_TRUE(config.mesh.peers.empty());
    EXPECT_EQ(config.mesh.heartbeat, milliseconds(1000));
    EXPECT_EQ(config.mesh.dead, milliseconds(3000));
    EXPECT_EQ(config.limits.queue, 64U << 20);
}

TEST(WeftdConfig, TakesAnEmptyFileAsTheDefaults) {
    EXPECT_EQ(must_parse(""), defaults());
    EXPECT_EQ(must_parse("# nothing but a remark\n"), defaults());
    EXPECT_EQ(must_parse("{}"), defaults());
    EXPECT_EQ(must_parse("mesh:\n  # listen: tcp://127.0.0.1:7400\nlog:\n"), defaults());
    EXPECT_EQ(must_parse("mesh:\n  peers:\n    # - tcp://127.0.0.1:7400\n"), defaults());
}

TEST(WeftdConfig, ReadsEveryKey) {
    const Config config = must_parse(R"(
node: a
workers: {listen: "ipc:///run/weft/a.sock", mode: "0600", group: www-data}
mesh:
  listen: tcp://10.0.0.1:7400
  peers: [tcp://10.0.0.2:7400, "tcp://[fd00::3]:7400"]
  heartbeat: 250ms
  dead: 2s
  resolve: 1m
  insecure: true
log: {format: json, level: warn}
publish: {ack_timeout: 500ms, id_window: 1m, id_bytes: 8m}
limits: {max_channels: 5000, queue: 16m, channel_linger: 2m}
)");
    EXPECT_EQ(config.node, "a");
    EXPECT_EQ(config.workers.listen, "ipc:///run/weft/a.sock");
    EXPECT_EQ(config.workers.mode, 0600U);
    EXPECT_EQ(config.workers.group, "www-data");
    EXPECT_EQ(config.mesh.listen, "tcp://10.0.0.1:7400");
    EXPECT_EQ(config.mesh.peers, (std::vector<std::string>{"tcp://10.0.0.2:7400", "tcp://[fd00::3]:7400"}));
    EXPECT_EQ(config.mesh.heartbeat, milliseconds(250));
    EXPECT_EQ(config.mesh.dead, milliseconds(2000));
    EXPECT_EQ(config.mesh.resolve, milliseconds(60'000));
    EXPECT_TRUE(config.mesh.insecure);
    const Config::Mesh::Curve curve = must_parse("mesh: {curve: {secret_key: /etc/k, allow: /etc/p}}").mesh.curve;
    EXPECT_EQ(curve.secret_key, "/etc/k");
    EXPECT_EQ(curve.allow, "/etc/p");
    EXPECT_EQ(config.log.format, LogFormat::json);
    EXPECT_EQ(config.log.level, LogLevel::warn);
    EXPECT_EQ(config.publish.ack_timeout, milliseconds(500));
    EXPECT_EQ(config.publish.id_window, std::chrono::minutes(1));
    EXPECT_EQ(config.publish.id_bytes, 8U << 20);
    EXPECT_EQ(config.limits.max_channels, 5000U);
    EXPECT_EQ(config.limits.queue, 16U << 20);
    EXPECT_EQ(config.limits.channel_linger, std::chrono::minutes(2));
}

TEST(WeftdConfig, NamesPlaceKeyFaultAndExpectationOfEveryError) {
    const struct {
        const char* text;
        const char* error;
    } cases[] = {
        // Keys.
        {"nodes: a", "w.yaml:1:1: nodes: unknown key; did you mean \"node\"?"},
        {"peers: []", "w.yaml:1:1: peers: unknown key; did you mean \"mesh.peers\"?"},
        {"mesh: {curve_key: x}", "w.yaml:1:8: mesh.curve_key: unknown key"},
        {"log: {levl: info}", "w.yaml:1:7: log.levl: unknown key; did you mean \"log.level\"?"},
        {"xyzzy: 1", "w.yaml:1:1: xyzzy: unknown key"},
        {"node: a\nnode: b", "w.yaml:2:1: node: is set twice, first in line 1; expected once"},
        {"log:\n  level: info\n  level: warn", "w.yaml:3:3: log.level: is set twice, first in line 2; expected once"},
        {"[node]: a", "w.yaml:1:1: has a key that is not a word; expected a name"},
        // Later.
        {"mesh: {curve: {secret_key: k}}",
         "w.yaml:1:15: mesh.curve: expected both secret_key and allow, each a file's path"},
        {"mesh: {curve: {secret_key: k, allow: \"\"}}",
         "w.yaml:1:38: mesh.curve.allow: is empty; expected a file's path"},
        {"mesh: {curve: {key: k}}", "w.yaml:1:16: mesh.curve.key: unknown key"},
        {"mesh: {resolve: 1ms}", "w.yaml:1:17: mesh.resolve: \"1ms\" is out of range; expected 100ms to 1h"},
        {"mesh: {listen: dns+tcp://a:1}",
         "w.yaml:1:16: mesh.listen: \"dns+tcp://a:1\" can't be listened on; expected tcp://ADDRESS:PORT"},
        {"mesh: {listen: tcp://127.0.0.1:1, peers: [dns+tcp://127.0.0.1:1]}",
         "w.yaml:1:43: mesh.peers: \"dns+tcp://127.0.0.1:1\" is an address; expected dns+tcp://NAME:PORT, or "
         "tcp://ADDRESS:PORT"},
        {"history: {max_bytes: 1k}", "w.yaml:1:22: history.max_bytes: \"1k\" is out of range; expected 1m to 1024g"},
        {"history: 256m", "w.yaml:1:10: history: is not a map; expected keys with values (max_bytes)"},
        {"publish: {ack_timeout: 1ms}",
         "w.yaml:1:24: publish.ack_timeout: \"1ms\" is out of range; expected 100ms to 1m"},
        {"mesh: {sync: 1ms}", "w.yaml:1:14: mesh.sync: \"1ms\" is out of range; expected 100ms to 10m"},
        {"http: 7480",
         "w.yaml:1:7: http: \"7480\" is not an address; expected an IP address and a port such as "
         "127.0.0.1:7480, or off"},
        {"http: localhost:7480",
         "w.yaml:1:7: http: \"localhost:7480\" is not an address; expected an IP address and a "
         "port such as 127.0.0.1:7480, or off"},
        {"http: 127.0.0.1:70000",
         "w.yaml:1:7: http: \"127.0.0.1:70000\" is not an address; expected an IP address and "
         "a port such as 127.0.0.1:7480, or off"},
        {"hooks: {rpc: {}}",
         "w.yaml:1:14: hooks.rpc: has no url; expected one such as {url: \"http://127.0.0.1:9000/weft\"}"},
        {"hooks: {rpc: {url: ftp://x}}",
         "w.yaml:1:20: hooks.rpc.url: \"ftp://x\" is not a URL of a web server; expected one such as "
         "http://127.0.0.1:9000/weft"},
        {"hooks: {rpc: {url: http://x, channels: [a]}}",
         "w.yaml:1:30: hooks.rpc.channels: unknown key; did you mean \"hooks.subscribe.channels\"?"},
        {"hooks: {rpc: {url: http://x, methods: [a**]}}",
         "w.yaml:1:39: hooks.rpc.methods: method pattern \"a**\" has \"**\" in its first segment, expected \"a.**\" "
         "for what "
         "is below it, or \"**\" alone"},
        {"hooks: {timout: 1s}", "w.yaml:1:9: hooks.timout: unknown key; did you mean \"hooks.timeout\"?"},
        {"hooks: {concurrency: 0}",
         "w.yaml:1:22: hooks.concurrency: \"0\" is not it; expected a number from 1 to 10000"},
        {"hooks: {headers: {\"A B\": c}}",
         "w.yaml:1:19: hooks.headers: has a header that is none; expected a name of letters, digits and dashes, and a "
         "text"},
        {"hooks: {key: /nowhere/at/all}",
         "w.yaml:1:14: hooks.key: the file \"/nowhere/at/all\" can't be read (No such file or directory); expected one "
         "with a key"},
        {"services: {listen: tcp://0.0.0.0:1}",
         "w.yaml:1:20: services.listen: \"tcp://0.0.0.0:1\" can be reached from outside; expected ipc:///PATH or a "
         "loopback address"},
        // Shapes.
        {"just words",
         "w.yaml:1:1: is not a map; expected keys with values (node, shards, workers, mesh, log, limits, history, "
         "http, "
         "publish, hooks, services)"},
        {"- node",
         "w.yaml:1:1: is not a map; expected keys with values (node, shards, workers, mesh, log, limits, history, "
         "http, "
         "publish, hooks, services)"},
        {"workers: ipc:///x", "w.yaml:1:10: workers: is not a map; expected keys with values (listen, mode, group)"},
        {"node: [a]", "w.yaml:1:7: node: is a list; expected a name"},
        {"node: {a: b}", "w.yaml:1:7: node: is a map; expected a name"},
        {"mesh: {listen: tcp://127.0.0.1:1, peers: tcp://127.0.0.1:2}",
         "w.yaml:1:42: mesh.peers: is not a list; expected endpoints such as [tcp://10.0.0.2:7400]"},
        {"a: b\n---\nc: d", "w.yaml:3:1: a second document begins here; expected one"},
        // Values.
        {"node: a b",
         "w.yaml:1:7: node: \"a b\" is not a node's name; expected 1 to 64 letters, digits, dots, dashes or "
         "underscores"},
        {"workers: {listen: /run/x.sock}",
         "w.yaml:1:19: workers.listen: \"/run/x.sock\" is not an endpoint; expected tcp://HOST:PORT or ipc:///PATH"},
        {"workers: {listen: \"tcp://*:7000\"}",
         "w.yaml:1:19: workers.listen: \"tcp://*:7000\" can be reached from outside; expected ipc:///PATH or a "
         "loopback address"},
        {"workers: {mode: \"rw\"}",
         "w.yaml:1:17: workers.mode: \"rw\" is not a file mode; expected octal digits such as \"0660\""},
        {"workers: {mode: 0888}",
         "w.yaml:1:17: workers.mode: \"0888\" is not a file mode; expected octal digits such as \"0660\""},
        {"workers: {listen: \"tcp://127.0.0.1:7000\", group: www-data}",
         "w.yaml:1:50: workers.group: \"tcp://127.0.0.1:7000\" has no file; expected it with an ipc:///PATH only"},
        {"mesh: {heartbeat: 3}",
         "w.yaml:1:19: mesh.heartbeat: \"3\" is not a duration; expected a number with ms, s, m or h, such as 250ms"},
        {"mesh: {heartbeat: 1ms}", "w.yaml:1:19: mesh.heartbeat: \"1ms\" is out of range; expected 50ms to 1m"},
        {"mesh: {heartbeat: 2s, dead: 3s}",
         "w.yaml:1:29: mesh.dead: \"3s\" is too short for a heartbeat of 2s; expected at least twice that"},
        {"mesh: {insecure: yes}", "w.yaml:1:18: mesh.insecure: \"yes\" is neither; expected true or false"},
        {"mesh: {peers: [tcp://127.0.0.1:2]}",
         "w.yaml:1:15: mesh.peers: needs mesh.listen; expected both, because peers fetch from there what is published "
         "here"},
        {"mesh:\n  listen: tcp://127.0.0.1:1\n  peers:\n    - tcp://127.0.0.1:2\n    - tcp://127.0.0.1:2",
         "w.yaml:5:7: mesh.peers: \"tcp://127.0.0.1:2\" is listed twice; expected once"},
        {"log: {format: xml}", "w.yaml:1:15: log.format: \"xml\" is not a log format; expected text or json"},
        {"log: {level: loud}",
         "w.yaml:1:14: log.level: \"loud\" is not a log level; expected debug, info, warn or error"},
        {"limits: {max_channels: 0}",
         "w.yaml:1:24: limits.max_channels: \"0\" is not a number of channels; expected 1 to 100000000"},
        {"limits: {queue: 64 MB}",
         "w.yaml:1:17: limits.queue: \"64 MB\" is not a size; expected bytes, or a number with k, m or g, such as 64m"},
        {"limits: {queue: 1k}", "w.yaml:1:17: limits.queue: \"1k\" is out of range; expected 8m to 16g"},
    };
    for (const auto& c : cases) EXPECT_EQ(errors(c.text), c.error) << c.text;
}

TEST(WeftdConfig, SaysWhereTheYamlItselfIsBroken) {
    EXPECT_TRUE(errors("node: a\nmesh: {listen: [").starts_with("w.yaml:2:")) << errors("node: a\nmesh: {listen: [");
    EXPECT_NE(errors("node: \"a").find("not YAML"), std::string::npos);
    EXPECT_NE(errors("node: *nobody").find("not YAML"), std::string::npos);
}

TEST(WeftdConfig, SaysThatAKeyHasNoValueInItsLine) {
    EXPECT_EQ(errors("log:\n  level:\nnode: a"),
              "w.yaml:2:3: log.level: has no value; expected debug, info, warn or error");
}

TEST(WeftdConfig, ReportsAllErrorsOfAFileInTheirOrder) {
    EXPECT_EQ(
        errors("nod: a\nlog: {format: xml, level: loud}\nhooks: {timeout: 1}"),
        "w.yaml:1:1: nod: unknown key; did you mean \"node\"?\n"
        "w.yaml:2:15: log.format: \"xml\" is not a log format; expected text or json\n"
        "w.yaml:2:27: log.level: \"loud\" is not a log level; expected debug, info, warn or error\n"
        "w.yaml:3:18: hooks.timeout: \"1\" is not a duration; expected a number with ms, s, m or h, such as 250ms");
}

TEST(WeftdConfig, WhatHoldsForAllHooksMayStandBehindThem) {
    const auto config = parse_config(
        "hooks:\n  rpc: {url: \"http://a/rpc\", methods: [\"x.*\"], timeout: 7s}\n  connect: {url: \"https://a/c\"}\n"
        "  timeout: 1s\n  headers: {X-A: b}\n  breaker: {failures: 0}\nservices: {listen: tcp://127.0.0.1:7401}\n",
        "w.yaml", default_config());
    ASSERT_TRUE(config.has_value()) << config.error().front().text();
    const auto hook = [&](Hook which) { return config->hooks[static_cast<std::size_t>(which)]; };
    EXPECT_EQ(hook(Hook::rpc).timeout, std::chrono::seconds(7));
    EXPECT_EQ(hook(Hook::rpc).patterns, std::vector<std::string>{"x.*"});
    EXPECT_EQ(hook(Hook::connect).timeout, std::chrono::seconds(1));
    EXPECT_EQ(hook(Hook::connect).headers, std::vector<std::string>{"X-A: b"});
    EXPECT_EQ(hook(Hook::connect).breaker_failures, 0U);
    EXPECT_EQ(hook(Hook::publish), Config::Webhook{}) << "none where none is said";
    EXPECT_EQ(config->services.listen, "tcp://127.0.0.1:7401");
    EXPECT_EQ(keys_that_need_a_restart(default_config(), *config), (std::vector<std::string>{"hooks", "services"}));
}

TEST(WeftdConfig, BoundsTheNumberOfErrors) {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "zzzzzzzz" + std::to_string(i) + ": 1\n";
    const auto config = parse_config(text, "w.yaml", defaults());
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().size(), kMaxConfigErrors);
}

TEST(WeftdConfig, WantsPlainTcpBeyondLoopbackToBeAskedForByName) {
    const std::string open = "listen: \"tcp://*:7400\", peers: [tcp://b.example:7400, tcp://127.0.0.1:7401]";
    EXPECT_EQ(errors("mesh: {" + open + "}"),
              "w.yaml:1:16: mesh.listen: \"tcp://*:7400\" leaves this host unencrypted; expected mesh.curve, a "
              "loopback address, or mesh.insecure: true\n"
              "w.yaml:1:40: mesh.peers: \"tcp://b.example:7400\" leaves this host unencrypted; expected "
              "mesh.curve, a loopback address, or mesh.insecure: true");
    EXPECT_EQ(must_parse("mesh: {" + open + ", insecure: true}").mesh.peers.size(), 2U);
    EXPECT_EQ(must_parse("mesh: {" + open + ", curve: {secret_key: k, allow: p}}").mesh.peers.size(), 2U);
    EXPECT_EQ(errors("mesh: {" + open + ", insecure: true, curve: {secret_key: k, allow: p}}"),
              "w.yaml:1:7: mesh: has both curve and insecure: true; expected one of them");
    // Where a name leads, nobody knows beforehand.
    EXPECT_NE(
        errors("mesh: {listen: \"tcp://127.0.0.1:1\", peers: [dns+tcp://b.example:7400]}").find("leaves this host"),
        std::string::npos);
}

TEST(WeftdConfig, KeepsAnErrorOnOneLineWhateverTheFileSays) {
    const std::string text = errors("log: {level: \"in\\nfo\\u001b[2J\"}");
    EXPECT_EQ(text.find_first_of("\n\x1b"), std::string::npos) << text;
}

TEST(WeftdConfig, ReportsAFileThatCannotBeRead) {
    const auto config = load_config("/nowhere/weftd.yaml", defaults());
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error()[0].text(), "/nowhere/weftd.yaml: can't be read: No such file or directory");
    const auto folder = load_config("/", defaults());
    ASSERT_FALSE(folder);
    EXPECT_EQ(folder.error()[0].text(), "/: can't be read: Is a directory");
}

TEST(WeftdConfig, RefusesAFileThatIsTooLarge) {
    const std::string path = testing::TempDir() + "weftd_config_test_large.yaml";
    std::ofstream(path) << std::string(kMaxConfigBytes + 1, '#');
    const auto config = load_config(path, defaults());
    std::remove(path.c_str());
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error()[0].message, "is too large; expected at most 1m");
}

TEST(WeftdConfig, TellsWhichKeysARunningWeftdCannotChange) {
    const Config running = defaults();
    Config wanted = running;
    wanted.mesh.peers = {"tcp://127.0.0.1:1"};
    EXPECT_TRUE(keys_that_need_a_restart(running, wanted).empty());
    wanted.node = "elsewhere";
    wanted.mesh.listen = "tcp://127.0.0.1:2";
    wanted.limits.queue = 1 << 20;
    wanted.publish.id_window = std::chrono::minutes(1);
    EXPECT_EQ(keys_that_need_a_restart(running, wanted),
              (std::vector<std::string>{"node", "mesh.listen", "publish.id_window", "limits.queue"}));
}

TEST(Units, ReadDurationsAndRefuseABareNumber) {
    EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
    EXPECT_EQ(parse_duration("3s"), milliseconds(3000));
    EXPECT_EQ(parse_duration("2m"), milliseconds(120'000));
    EXPECT_EQ(parse_duration("1h"), milliseconds(3'600'000));
    for (const char* bad : {"", "3", "s", "-1s", "1.5s", " 1s", "1s ", "1 s", "1S", "1d", "99999999999999999999s",
                            "18446744073709551615h"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
}

TEST(Units, ReadSizes) {
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_size("17"), 17U);
    EXPECT_EQ(parse_size("256k"), 256U << 10);
    EXPECT_EQ(parse_size("64M"), 64U << 20);
    EXPECT_EQ(parse_size("2g"), 2ULL << 30);
    for (const char* bad : {"", "k", "-1", "1kb", "1 k", "1.5m", "99999999999999999999", "18446744073709551615g"}) {
        EXPECT_FALSE(parse_size(bad)) << bad;
    }
}

TEST(Units, FormatWhatTheyRead) {
    for (const char* text : {"250ms", "3s", "2m", "1h", "90s", "0ms"})
        EXPECT_EQ(format_duration(*parse_duration(text)), text);
    for (const char* text : {"0", "17", "1k", "64m", "2g", "1025"}) EXPECT_EQ(format_size(*parse_size(text)), text);
}

TEST(Endpoint, KnowsWhatStaysOnThisHost) {
    const struct {
        const char* text;
        bool local;
    } cases[] = {
        {"ipc:///run/weft/weftd.sock", true},
        {"ipc://@weft", true},
        {"tcp://127.0.0.1:1", true},
        {"tcp://127.8.9.1:1", true},
        {"tcp://[::1]:1", true},
        {"tcp://localhost:1", true},
        {"tcp://*:1", false},
        {"tcp://0.0.0.0:1", false},
        {"tcp://10.0.0.1:1", false},
        {"tcp://[::]:1", false},
        {"tcp://127.example:1", false},
        {"tcp://localhost.example:1", false},
    };
    for (const auto& c : cases) {
        const auto endpoint = Endpoint::parse(c.text, Endpoint::Use::listen);
        ASSERT_TRUE(endpoint) << c.text;
        EXPECT_EQ(endpoint->local(), c.local) << c.text;
    }
}

TEST(Endpoint, RefusesWhatZeroMqWouldMisunderstand) {
    for (const char* bad :
         {"", "tcp://", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://host:7400x", "tcp://:1",
          "tcp://[::1:1", "tcp://[nonsense]:1", "tcp://::1:1", "tcp://a b:1", "tcp://a;b:1", "udp://host:1", "ipc://",
          "ipc://relative", "ipc:///", "inproc://x"}) {
        EXPECT_FALSE(Endpoint::parse(bad, Endpoint::Use::listen)) << bad;
    }
    EXPECT_FALSE(Endpoint::parse("tcp://*:7400", Endpoint::Use::dial));
    const auto odd = Endpoint::parse("tcp://_weft.example:7400", Endpoint::Use::dial);
    ASSERT_FALSE(odd);
    EXPECT_EQ(odd.error(),
              "\"tcp://_weft.example:7400\" has a host that begins with \"_\"; expected a letter or a digit first, "
              "tcp://HOST:PORT");
    EXPECT_FALSE(Endpoint::parse("tcp://-weft:7400", Endpoint::Use::dial));
    EXPECT_FALSE(Endpoint::parse("tcp://.weft:7400", Endpoint::Use::dial));
    EXPECT_TRUE(Endpoint::parse("tcp://0weft_-.example:7400", Endpoint::Use::dial));
    EXPECT_TRUE(Endpoint::parse("tcp://[::1]:7400", Endpoint::Use::dial));
    EXPECT_TRUE(Endpoint::parse("dns+tcp://_weft.example:7400", Endpoint::Use::dial)) << "ZeroMQ gets its addresses";
    EXPECT_FALSE(Endpoint::parse("ipc:///" + std::string(107, 'x'), Endpoint::Use::listen));
    EXPECT_TRUE(Endpoint::parse("ipc:///" + std::string(106, 'x'), Endpoint::Use::listen));
}

}  // namespace
}  // namespace weft

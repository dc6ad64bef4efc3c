#include "auth/origin.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

OriginPolicy policy_of(const std::vector<std::string_view>& entries) {
    auto policy = OriginPolicy::parse(entries);
    if (!policy) ADD_FAILURE() << policy.error();
    return policy ? *policy : OriginPolicy::same_host();
}

TEST(OriginPolicy, AllowsTheOriginsOfItsListAndNoOthers) {
    const OriginPolicy policy = policy_of({"https://app.example.com", "HTTP://Local.Example:8080",
                                           "https://[2001:DB8::1]:8443", "capacitor://localhost"});
    const struct {
        const char* origin;
        bool allowed;
    } kCases[] = {
        {"https://app.example.com", true},
        {"https://app.example.com:443", true},
        {"HTTPS://APP.EXAMPLE.COM", true},
        {"http://local.example:8080", true},
        {"https://[2001:db8::1]:8443", true},
        {"capacitor://localhost", true},
        {"http://app.example.com", false},
        {"wss://app.example.com", false},
        {"https://app.example.com:8443", false},
        {"https://app.example.com:80", false},
        {"https://app.example.com:0443", false},
        {"https://app.example.com:", false},
        {"https://app.example.com/", false},
        {"https://app.example.com.", false},
        {"https://app.example.com.evil.example", false},
        {"https://evil.example/https://app.example.com", false},
        {"https://evil.example?https://app.example.com", false},
        {"https://app.example.com@evil.example", false},
        {"https://evil.example@app.example.com", false},
        {"https://xapp.example.com", false},
        {"https://example.com", false},
        {"https://app.example.co", false},
        {"https://app.example.com https://evil.example", false},
        {" https://app.example.com", false},
        {"https://app.example.com ", false},
        {"https://app.example.com\t", false},
        {"https:app.example.com", false},
        {"//app.example.com", false},
        {"app.example.com", false},
        {"http://local.example", false},
        {"https://[2001:db8::1]", false},
        {"https://2001:db8::1:8443", false},
        {"capacitor://localhost:1", false},
        {"null", false},
        {"*", false},
        {"https://*", false},
        {"https://", false},
        {"://", false},
    };
    for (const auto& [origin, allowed] : kCases) {
        EXPECT_EQ(policy.allows(origin, "app.example.com"), allowed) << origin;
        EXPECT_EQ(policy.allows(origin, ""), allowed) << origin << " (the Host header plays no part)";
    }
    EXPECT_FALSE(policy.allows(std::string_view("https://app.example.com\0", 24), ""));
}

TEST(OriginPolicy, AllowsClientsThatAreNoBrowsers) {
    EXPECT_TRUE(policy_of({"https://app.example.com"}).allows("", "app.example.com"));
    EXPECT_TRUE(OriginPolicy::same_host().allows("", ""));
}

TEST(OriginPolicy, AllowsEverythingWithAStar) {
    const OriginPolicy policy = policy_of({"https://app.example.com", "*"});
    for (const char* origin : {"https://evil.example", "file://", "nonsense", ""})
        EXPECT_TRUE(policy.allows(origin, "x"));
    EXPECT_FALSE(policy.allows("null", "x")) << "null goes by its name alone";
}

TEST(OriginPolicy, AllowsNullByItsNameAlone) {
    EXPECT_TRUE(policy_of({"null"}).allows("null", "x"));
    EXPECT_TRUE(policy_of({"*", "null"}).allows("null", "x"));
    EXPECT_FALSE(policy_of({"null"}).allows("https://app.example.com", "app.example.com")) << "nothing else with it";
    EXPECT_FALSE(policy_of({"null"}).allows("NULL", "x"));
    EXPECT_FALSE(policy_of({"https://null"}).allows("null", "null"));
    EXPECT_FALSE(policy_of({"same"}).allows("null", "null"));
}

TEST(OriginPolicy, LetsClientsWithoutOriginBeRefused) {
    EXPECT_FALSE(policy_of({"https://app.example.com", "none=off"}).allows("", "x"));
    EXPECT_FALSE(policy_of({"*", "none=off"}).allows("", "x"));
    EXPECT_TRUE(policy_of({"https://app.example.com", "none=on"}).allows("", "x"));
    const OriginPolicy alone = policy_of({"none=off"});
    EXPECT_FALSE(alone.allows("", "x"));
    EXPECT_TRUE(alone.allows("https://x", "x")) << "of origins it says nothing, so the same host holds";
    EXPECT_FALSE(alone.allows("https://y", "x"));
}

TEST(OriginPolicy, TakesTheSameHostAsOneOfSeveral) {
    const OriginPolicy policy = policy_of({"same", "https://admin.example.com"});
    EXPECT_TRUE(policy.allows("https://shop.example.com", "shop.example.com"));
    EXPECT_TRUE(policy.allows("https://admin.example.com", "shop.example.com"));
    EXPECT_FALSE(policy.allows("https://evil.example", "shop.example.com"));
    EXPECT_FALSE(policy_of({"https://admin.example.com"}).allows("https://shop.example.com", "shop.example.com"));
}

TEST(OriginPolicy, AllowsWhatIsBelowAHostAndNothingThatLooksAlike) {
    const OriginPolicy policy = policy_of({"https://*.Example.com", "http://*.dev.example.org:8080", "*.example.net"});
    const struct {
        const char* origin;
        bool allowed;
    } kCases[] = {
        {"https://app.example.com", true},
        {"https://a.b.example.com", true},
        {"HTTPS://APP.EXAMPLE.COM:443", true},
        {"https://xn--bcher-kva.example.com", true},
        {"http://x.dev.example.org:8080", true},
        {"https://www.example.net", true},
        {"https://example.com", false},
        {"https://example.net", false},
        {"http://www.example.net", false},
        {"http://app.example.com", false},
        {"https://app.example.com:8443", false},
        {"https://app.example.com.evil.org", false},
        {"https://example.com.evil.org", false},
        {"https://evilexample.com", false},
        {"https://evil-example.com", false},
        {"https://app.example.com.", false},
        {"https://app.example.com..", false},
        {"https://.example.com", false},
        {"https://..example.com", false},
        {"https://a..example.com", false},
        {"https://.a.example.com", false},
        {"https://*.example.com", false},
        {"https://evil.org/.example.com", false},
        {"https://evil.org?.example.com", false},
        {"https://evil.org#.example.com", false},
        {"https://evil.org\\.example.com", false},
        {"https://evil.org@app.example.com", false},
        {"https://app.example.com@evil.org", false},
        {"https://evil.org:443.example.com", false},
        {"https://evil.org%2f.example.com", false},
        {"https://evil.org .example.com", false},
        {"https://[::1].example.com", false},
        {"https://[2001:db8::1]", false},
        {"http://x.dev.example.org", false},
        {"http://dev.example.org:8080", false},
        {"https://x.dev.example.org:8080", false},
        {"null", false},
    };
    for (const auto& [origin, allowed] : kCases) EXPECT_EQ(policy.allows(origin, "other"), allowed) << origin;
}

TEST(OriginPolicy, ShowsExpressionsTheOriginInOneSpelling) {
    std::vector<std::string> shown;
    std::vector<std::string> compiled;
    const OriginPolicy::Compile compile = [&](std::string_view text,
                                              bool caseless) -> tl::expected<OriginPolicy::Expression, std::string> {
        if (text == "(") return tl::unexpected(std::string("missing )"));
        compiled.push_back(std::string(text) + (caseless ? " caseless" : ""));
        return [&shown](std::string_view origin) {
            shown.emplace_back(origin);
            return origin == "https://app.example.com";
        };
    };
    const auto policy = OriginPolicy::parse({"~^https://a", "~*B$"}, compile);
    ASSERT_TRUE(policy);
    EXPECT_EQ(compiled, (std::vector<std::string>{"^https://a", "B$ caseless"}));
    EXPECT_TRUE(policy->allows("HTTPS://App.Example.com:443", "x"));
    EXPECT_FALSE(policy->allows("http://app.example.com:8080", "x"));
    EXPECT_EQ(shown, (std::vector<std::string>{"https://app.example.com", "http://app.example.com:8080",
                                               "http://app.example.com:8080"}));
    shown.clear();
    for (const char* origin : {"null", "nonsense", "https://app.example.com https://evil.org", "https://a/",
                               "https://a@b", "https://app.example.com\n"}) {
        EXPECT_FALSE(policy->allows(origin, "x")) << origin;
    }
    EXPECT_TRUE(shown.empty()) << "what is no origin is shown to no expression";
    EXPECT_EQ(OriginPolicy::parse({"~("}, compile).error(), "\"~(\" is no expression: missing )");
    EXPECT_FALSE(OriginPolicy::parse({"~"}, compile));
    EXPECT_FALSE(OriginPolicy::parse({"~*"}, compile));
    EXPECT_FALSE(OriginPolicy::parse({"~a"}));
}

TEST(OriginPolicy, ComparesWithTheHostByDefault) {
    const struct {
        const char *origin, *host;
        bool allowed;
    } kCases[] = {
        {"https://app.example.com", "app.example.com", true},
        {"https://app.example.com", "App.Example.COM", true},
        {"https://app.example.com", "app.example.com:443", true},
        {"https://app.example.com:443", "app.example.com", true},
        {"http://app.example.com", "app.example.com", true},
        {"http://app.example.com", "app.example.com:80", true},
        {"http://127.0.0.1:8080", "127.0.0.1:8080", true},
        {"http://[::1]:8080", "[::1]:8080", true},
        {"http://[::1]", "[::1]", true},
        {"http://app.example.com", "app.example.com:443", false},
        {"https://app.example.com", "app.example.com:8443", false},
        {"https://app.example.com:8443", "app.example.com", false},
        {"http://[::1]", "[::1]:8080", false},
        {"http://127.0.0.1:8080", "127.0.0.1:8081", false},
        {"https://evil.example", "app.example.com", false},
        {"https://app.example.com.evil.example", "app.example.com", false},
        {"https://app.example.com", "app.example.com.evil.example", false},
        {"https://app.example.com", "", false},
        {"https://app.example.com", ":443", false},
        {"https://app.example.com", "app.example.com:", false},
        {"https://app.example.com", "app.example.com:x", false},
        {"https://app.example.com", "app.example.com/x", false},
        {"chrome-extension://abcdef", "abcdef", true},
        {"chrome-extension://abcdef", "abcdef:80", false},
        {"null", "null", false},
        {"app.example.com", "app.example.com", false},
    };
    const OriginPolicy policy = OriginPolicy::same_host();
    for (const auto& [origin, host, allowed] : kCases)
        EXPECT_EQ(policy.allows(origin, host), allowed) << origin << ' ' << host;
}

TEST(OriginPolicy, RefusesEntriesThatAreNoOrigins) {
    for (const char* entry : {"",
                              "app.example.com",
                              "https://",
                              "https://app.example.com/",
                              "https://app.example.com/path",
                              "https:///",
                              "https://app.example.com:0",
                              "https://app.example.com:65536",
                              "https://app.example.com:99999999999",
                              "https://app.example.com:8o",
                              "https://*",
                              "https://*.",
                              "https://*..com",
                              "https://a.*.com",
                              "https://*a.com",
                              "*.",
                              "*a.example.com",
                              "none",
                              "none=maybe",
                              "SAME",
                              "https://a b",
                              "https://user@host",
                              "https://h?q",
                              "https://h#f",
                              "1http://host",
                              "://host",
                              "https://b\xc3\xbc"
                              "cher.example",
                              "https://[::1",
                              "https://[]",
                              "https://[xyz]",
                              "https://::1",
                              "**"}) {
        const auto policy = OriginPolicy::parse({"https://fine.example", entry});
        ASSERT_FALSE(policy) << entry;
        EXPECT_TRUE(policy.error().starts_with('"' + std::string(entry) + "\" ")) << policy.error();
        EXPECT_NE(
            policy.error().find("expected scheme://host[:port] without a path, scheme://*.host, ~expression, same, "
                                "null, none=on, none=off or *"),
            std::string::npos)
            << policy.error();
    }
    for (const char* entry : {"https://*.127.0.0.1", "https://*.[::1]", "https://*.1"}) {
        EXPECT_FALSE(OriginPolicy::parse({entry})) << entry << " (below an address is nothing)";
    }
    EXPECT_FALSE(OriginPolicy::parse({}));
}

}  // namespace
}  // namespace weft

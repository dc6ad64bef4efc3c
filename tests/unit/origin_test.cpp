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
    for (const char* origin : {"https://evil.example", "null", "nonsense", ""}) EXPECT_TRUE(policy.allows(origin, "x"));
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
                              "https://*.example.com",
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
                              "null",
                              "**"}) {
        const auto policy = OriginPolicy::parse({"https://fine.example", entry});
        ASSERT_FALSE(policy) << entry;
        EXPECT_EQ(policy.error(),
                  '"' + std::string(entry) + "\" is not an origin: expected scheme://host[:port] without a path, or *");
    }
    EXPECT_FALSE(OriginPolicy::parse({}));
}

}  // namespace
}  // namespace weft

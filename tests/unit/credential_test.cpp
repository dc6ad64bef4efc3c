// The small parts of credentials: cookies, masks, grants as text, API keys.
#include <gtest/gtest.h>

#include "auth/api_key.hpp"
#include "auth/cookie.hpp"
#include "auth/credential_mask.hpp"
#include "auth/grants_text.hpp"

namespace weft {
namespace {

TEST(Cookie, IsFoundByItsWholeNameAndCase) {
    const struct {
        const char* header;
        std::optional<std::string_view> value;
    } kCases[] = {
        {"weft=abc", "abc"},
        {"a=1; weft=abc; b=2", "abc"},
        {"a=1;weft=abc", "abc"},
        {" weft = abc ;", "abc"},
        {"weft=\"abc\"", "abc"},
        {"weft=a=b==", "a=b=="},
        {"weft=first; weft=second", "first"},
        {"weft=", ""},
        {"weft=\"", "\""},
        {"weft", std::nullopt},
        {"Weft=abc", std::nullopt},
        {"xweft=abc", std::nullopt},
        {"weftx=abc", std::nullopt},
        {"a=weft=abc", std::nullopt},
        {"", std::nullopt},
        {";;=;", std::nullopt},
    };
    for (const auto& [header, value] : kCases) EXPECT_EQ(find_cookie(header, "weft"), value) << header;
}

TEST(Cookie, HasATokenForAName) {
    for (const char* name : {"weft", "__Host-weft", "a.b~c"}) EXPECT_TRUE(is_cookie_name(name)) << name;
    for (const char* name : {"", "a b", "a=b", "a;b", "a\"b", "\xc3\xa4"}) EXPECT_FALSE(is_cookie_name(name)) << name;
}

template <class Mask>
std::string masked(std::string text, Mask mask) {
    mask(std::span<char>(text.data(), text.size()));
    return text;
}

TEST(CredentialMask, HidesTheValuesOfOneCookie) {
    const auto mask = [](std::span<char> text) { mask_cookie(text, "weft"); };
    EXPECT_EQ(masked("a=1; weft=abc; b=2", mask), "a=1; weft=***; b=2");
    EXPECT_EQ(masked("weft=abc; weft=\"defg\"; weft=", mask), "weft=***; weft=\"****\"; weft=");
    EXPECT_EQ(masked("xweft=abc; Weft=abc; weft", mask), "xweft=abc; Weft=abc; weft");
    EXPECT_EQ(masked("weft=; weft=abc", mask), "weft=; weft=***");
}

TEST(CredentialMask, HidesWhatFollowsBearerInAList) {
    EXPECT_EQ(masked("weft.v1.json, bearer, abc", mask_bearer_pair), "weft.v1.json, bearer, ***");
    EXPECT_EQ(masked("bearer,abc,weft.v1.json", mask_bearer_pair), "bearer,***,weft.v1.json");
    EXPECT_EQ(masked("bearer , , abc , d", mask_bearer_pair), "bearer , , *** , d");
    EXPECT_EQ(masked("bearer, a, bearer, b", mask_bearer_pair), "bearer, *, bearer, *");
    EXPECT_EQ(masked("bearer", mask_bearer_pair), "bearer");
    EXPECT_EQ(masked("weft.v1.json, chat", mask_bearer_pair), "weft.v1.json, chat");
}

TEST(GrantsText, IsReadLikeATicketsClaims) {
    const auto grants =
        parse_grants(R"( {"channels":{"chat:*":["subscribe","publish"],"**":["presence"]},"rpc":["a.*"]} )");
    ASSERT_TRUE(grants) << grants.error();
    EXPECT_TRUE(grants->allows(Action::subscribe, "chat:a"));
    EXPECT_TRUE(grants->allows(Action::publish, "chat:a"));
    EXPECT_TRUE(grants->allows(Action::presence, "news:a"));
    EXPECT_FALSE(grants->allows(Action::subscribe, "news:a"));
    EXPECT_TRUE(grants->allows_rpc("a.b"));
    EXPECT_EQ(parse_grants("{}")->size(), 0U);
    EXPECT_EQ(parse_grants("{ }")->size(), 0U);
    EXPECT_EQ(parse_grants(R"({"rpc":["x"]})")->size(), 1U);
}

TEST(GrantsText, RefusesWhatIsNoneAndShowsNothingOfIt) {
    for (const std::string& text : {
             std::string(),
             std::string("[]"),
             std::string("null"),
             std::string("{\"channels\":"),
             std::string("{} {}"),
             std::string("{},\"rpc\":[]"),
             std::string(R"({"channels":{}},"sub":"secret"})"),
             std::string(R"({"sub":"secret"})"),
             std::string(R"({"exp":9999999999})"),
             std::string(R"({"channels":["secret"]})"),
             std::string(R"({"channels":{"chat:*":"subscribe"}})"),
             std::string(R"({"channels":{"chat:*":["secret"]}})"),
             std::string(R"({"channels":{},"channels":{}})"),
             std::string(R"({"rpc":"secret"})"),
             R"({"rpc":[")" + std::string(kMaxGrantsText, 'x') + R"("]})",
         }) {
        const auto grants = parse_grants(text);
        ASSERT_FALSE(grants) << text;
        EXPECT_FALSE(grants.error().empty());
        EXPECT_EQ(grants.error().find("secret"), std::string::npos) << grants.error();
    }
}

TEST(ApiKeys, AreFoundByTheirHash) {
    // sha256("abc"), FIPS 180-2 appendix B.1
    const std::string abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    EXPECT_EQ(api_key_hash("abc"), abc);
    const auto keys =
        ApiKeys::parse("# back ends\r\n\nshop " + abc + " {\"channels\":{\"chat:*\":[\"publish\"]}}\r\n\tstock\t" +
                       api_key_hash("another") + "\t{}");
    ASSERT_TRUE(keys) << keys.error();
    ASSERT_EQ(keys->all().size(), 2U);
    ASSERT_EQ(keys->find("abc"), 0U);
    EXPECT_EQ(keys->all()[0].name, "shop");
    EXPECT_TRUE(keys->all()[0].grants.allows(Action::publish, "chat:a"));
    EXPECT_FALSE(keys->all()[0].grants.allows(Action::subscribe, "chat:a"));
    EXPECT_EQ(keys->find("another"), 1U);
    for (const std::string& other :
         {std::string(), std::string("ABC"), std::string("abc "), abc, std::string(300, 'x')}) {
        EXPECT_FALSE(keys->find(other)) << other;
    }
}

TEST(ApiKeys, SayWhichLineIsWrongWithoutShowingIt) {
    const std::string good = "a " + api_key_hash("a") + " {}\n";
    const struct {
        std::string file;
        const char* where;
    } kCases[] = {
        {"", "no key"},
        {"# only a comment", "no key"},
        {good + "shop", "line 2: "},
        {good + "\n# x\nshop sha256:secret {}", "line 4: "},
        {good + "sh/op " + api_key_hash("b") + " {}", "line 2: "},
        {good + "shop " + api_key_hash("b"), "line 2: "},
        {good + "shop " + api_key_hash("b") + " {\"secret\":1}", "line 2: "},
        {good + "shop " + api_key_hash("b") + " {} {}", "line 2: "},
        {good + "a " + api_key_hash("b") + " {}", "line 2: this name"},
        {good + "b " + api_key_hash("a") + " {}", "line 2: this hash"},
        {good + "shop SHA256:" + std::string(64, '0') + " {}", "line 2: "},
        {good + "shop sha256:" + std::string(64, 'A') + " {}", "line 2: "},
    };
    for (const auto& [file, where] : kCases) {
        const auto keys = ApiKeys::parse(file);
        ASSERT_FALSE(keys) << file;
        EXPECT_NE(keys.error().find(where), std::string::npos) << keys.error();
        EXPECT_EQ(keys.error().find("secret"), std::string::npos) << keys.error();
    }
    std::string many;
    for (std::size_t i = 0; i <= ApiKeys::kMaxKeys; ++i) {
        const std::string name = "k" + std::to_string(i);
        many += name + ' ' + api_key_hash(name) + " {}\n";
    }
    EXPECT_NE(ApiKeys::parse(many).error().find("line 1001: "), std::string::npos);
}

}  // namespace
}  // namespace weft

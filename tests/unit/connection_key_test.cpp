#include "limit/connection_key.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft {
namespace {

std::optional<ConnectionKey> of(const std::string& text) {
    std::uint8_t bytes[16];
    const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
    EXPECT_EQ(inet_pton(family, text.c_str(), bytes), 1) << text;
    return address_key({bytes, family == AF_INET ? std::size_t{4} : std::size_t{16}});
}

TEST(ConnectionKey, IsOneForWhatOneClientCanHave) {
    const struct {
        const char* one;
        const char* other;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::1", "::2", true},
        // The same bytes in front, and yet neither is the other.
        {"2001:db8::", "32.1.13.184", false},
        {"0.0.0.0", "::", false},
    };
    for (const auto& [one, other, same] : cases) {
        EXPECT_EQ(of(one) == of(other), same) << one << " and " << other;
    }
}

TEST(ConnectionKey, IsNoneForWhatIsNoAddress) {
    const std::vector<std::uint8_t> bytes(32);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        EXPECT_EQ(address_key({bytes.data(), size}).has_value(), size == 4 || size == 16) << size;
    }
}

TEST(ConnectionKey, TellsUsersApartWhateverTheirLength) {
    const std::string names[] = {"a",
                                 "b",
                                 std::string("a\0", 2),
                                 std::string(16, 'x'),
                                 std::string(17, 'x'),
                                 std::string(4000, 'x'),
                                 std::string(3999, 'x') + 'y'};
    for (const std::string& one : names) {
        for (const std::string& other : names) {
            EXPECT_EQ(user_key(one) == user_key(other), one == other) << one << " and " << other;
        }
    }
    EXPECT_FALSE(user_key("").has_value());
}

TEST(ConnectionKey, OfAUserIsNoAddress) {
    EXPECT_NE(user_key("192.0.2.1"), of("192.0.2.1"));
    EXPECT_NE(user_key("2001:db8::1"), of("2001:db8::1"));
}

}  // namespace
}  // namespace weft

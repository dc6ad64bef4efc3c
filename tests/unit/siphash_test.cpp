#include "limit/siphash.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <cstring>
#include <memory>
#include <string>

namespace weft {
namespace {

/// What OpenSSL makes of it.
std::uint64_t reference(const std::string& key, const std::string& bytes) {
    const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "SIPHASH", nullptr),
                                                                EVP_MAC_free);
    const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_new(mac.get()),
                                                                            EVP_MAC_CTX_free);
    std::size_t size = 8;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_END};
    unsigned char digest[8] = {};
    EXPECT_EQ(EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(), parameters),
              1);
    EXPECT_EQ(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()), 1);
    EXPECT_EQ(EVP_MAC_final(context.get(), digest, &size, sizeof(digest)), 1);
    std::uint64_t value = 0;
    for (int i = 7; i >= 0; --i) value = value << 8 | digest[i];
    return value;
}

TEST(SipHash, IsThatOfThePaper) {  // its appendix A
    std::string bytes;
    for (char c = 0; c < 15; ++c) bytes += c;
    EXPECT_EQ(siphash({0x0706050403020100, 0x0f0e0d0c0b0a0908}, bytes), 0xa129ca6149be45e5U);
}

TEST(SipHash, IsThatOfOpenSslForEveryLength) {
    const std::string key = "a key of 16 byte";
    SipKey words{};
    std::memcpy(words.data(), key.data(), key.size());  // these tests run on little-endian machines
    std::string bytes;
    for (int length = 0; length < 70; ++length) {
        EXPECT_EQ(siphash(words, bytes), reference(key, bytes)) << length;
        bytes += static_cast<char>(length * 37 + 200);
    }
}

}  // namespace
}  // namespace weft

#include "auth/ecdsa.hpp"

#include <openssl/ecdsa.h>

#include <algorithm>
#include <memory>

namespace weft {

namespace {

constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kSequence = 0x30;

/// Appends a positive INTEGER: no leading zeros but one that keeps the sign bit clear (X.690 §8.3).
bool append_integer(DerSignature& to, std::string_view number) noexcept {
    const std::size_t zeros = std::min(number.find_first_not_of('\0'), number.size());
    number.remove_prefix(zeros);
    if (number.empty()) return false;
    const bool padded = (static_cast<unsigned char>(number.front()) & 0x80U) != 0;
    to.bytes[to.size++] = kInteger;
    to.bytes[to.size++] = static_cast<unsigned char>(number.size() + (padded ? 1 : 0));
    if (padded) to.bytes[to.size++] = 0;
    std::copy(number.begin(), number.end(), to.bytes.begin() + static_cast<std::ptrdiff_t>(to.size));
    to.size += number.size();
    return true;
}

}  // namespace

std::optional<DerSignature> ecdsa_to_der(std::string_view raw, std::size_t coordinate) noexcept {
    if (raw.size() != 2 * coordinate || coordinate > 48) return std::nullopt;
    DerSignature der;
    der.size = 2;
    if (!append_integer(der, raw.substr(0, coordinate)) || !append_integer(der, raw.substr(coordinate))) {
        return std::nullopt;
    }
    der.bytes[0] = kSequence;
    der.bytes[1] = static_cast<unsigned char>(der.size - 2);  // at most 102, so one byte of length
    return der;
}

std::optional<std::string> ecdsa_from_der(std::string_view der, std::size_t coordinate) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> signature(
        d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size())), ECDSA_SIG_free);
    if (signature == nullptr) return std::nullopt;
    std::string raw(2 * coordinate, '\0');
    auto* to = reinterpret_cast<unsigned char*>(raw.data());
    const int size = static_cast<int>(coordinate);
    if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), to, size) != size ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), to + size, size) != size) {
        return std::nullopt;
    }
    return raw;
}

}  // namespace weft

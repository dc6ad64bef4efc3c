// Keys for tests of tickets: those of the RFCs' examples, and one of our own for each algorithm.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "auth/signing_key.hpp"

namespace weft {

// RFC 7515, appendix A.2 and A.3
inline constexpr char kRfc7515Modulus[] =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
inline constexpr char kRfc7515X[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
inline constexpr char kRfc7515Y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
inline constexpr char kRfc7515Payload[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
inline constexpr char kRfc7515RsaSignature[] =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
inline constexpr char kRfc7515EcSignature[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

// Keys that nobody should take: base64 of their SubjectPublicKeyInfo, in lines as PEM has them, and one as a JWK has
// it.
inline constexpr char kP521Spki[] =
    "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAZVYrQso5sP1iCrixsND1hAnuTMX+\n"
    "BGO2TmqEJ/iohNQrviZoORkEm1BVBLoWaUuskydE5f/YW3oHM+75aHY91gcBPMpF\n"
    "M5AyK5cNQ0DAr0R80AIUQuJbp5jOzW+CWam5uJEnKAubk/dtk1kckRSgChSXTtRe\n"
    "0ANZsYKPIRK/OIJv2s8=";
inline constexpr char kRsa1024Spki[] =
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDqmiYTaOYY+wAka3LJhzKdvM3u\n"
    "ddSeQWXsh5aHEW+Nv+cVisvnuOtZPBxOAyI7raD5YaOCvzS6eHn1hxREbUR1rPTe\n"
    "ruzjMgfBE/nyG/N54xKpbfy/py3LI2XyGzj4aeIoeo89WwOyCNqEqllQx21JrW4U\n"
    "AbAz2BBCnvKS6lnf4QIDAQAB";
inline constexpr char kRsa1024Modulus[] =
    "6pomE2jmGPsAJGtyyYcynbzN7nXUnkFl7IeWhxFvjb_nFYrL57jrWTwcTgMiO62g-WGjgr80unh59YcURG1Edaz03q7s4zIHwRP5"
    "8hvzeeMSqW38v6ctyyNl8hs4-GniKHqPPVsDsgjahKpZUMdtSa1uFAGwM9gQQp7ykupZ3-E";
inline constexpr char kX25519Spki[] = "MCowBQYDK2VuAyEA5fWGMFJyMDEnfwShmtgRWP3Ii+TH9t2vYhT2xsvsoX8=";

/// The same in each call; RS256 and PS256 share one.
inline const SigningKey& key_for(Algorithm algorithm) {
    static std::array<std::unique_ptr<SigningKey>, std::size(kAlgorithms)> keys;
    const Algorithm kind = algorithm == Algorithm::ps256 ? Algorithm::rs256 : algorithm;
    auto& key = keys[static_cast<std::size_t>(kind)];
    if (key == nullptr) {
        key = std::make_unique<SigningKey>(
            is_hmac(kind) ? SigningKey::of_secret(std::string(mac_size(kind), static_cast<char>('a' + int(kind))))
                          : std::move(*SigningKey::generate(kind)));
    }
    return *key;
}

}  // namespace weft

#include "auth/jwks.hpp"

#include <openssl/crypto.h>
#include <simdjson.h>

#include <optional>
#include <utility>
#include <vector>

#include "auth/base64.hpp"

namespace weft {

namespace {

using simdjson::dom::element;
using Result = tl::expected<void, std::string>;

tl::unexpected<std::string> wrong(std::string why) {
    return tl::unexpected(std::move(why));
}

/// A secret's bytes, wiped in the end.
struct Secret {
    explicit Secret(std::string text) : bytes(std::move(text)) {}
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
    std::string bytes;
};

/// The members of a JWK that matter.
struct Members {
    std::optional<std::string_view> kty, crv, kid, alg, use, n, e, x, y, k;
    std::optional<simdjson::dom::array> key_ops;
    bool is_private = false;

    /// The one of this name, if it is a text; null for others.
    std::optional<std::string_view>* text(std::string_view name) {
        const std::pair<std::string_view, std::optional<std::string_view>*> kTexts[] = {
            {"kty", &kty}, {"crv", &crv}, {"kid", &kid}, {"alg", &alg}, {"use", &use},
            {"n", &n},     {"e", &e},     {"x", &x},     {"y", &y},     {"k", &k}};
        for (const auto& [known, member] : kTexts) {
            if (name == known) return member;
        }
        return nullptr;
    }
};

Result read_members(const simdjson::dom::object& object, Members& members) {
    constexpr std::size_t kMaxMembers = 32;
    std::vector<std::string_view> seen;
    for (auto [name, value] : object) {
        if (seen.size() == kMaxMembers) return wrong("has more than 32 members");
        for (std::string_view other : seen) {
            if (other == name) return wrong("gives a member twice");
        }
        seen.push_back(name);
        for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "oth"}) members.is_private |= name == secret;
        if (name == "key_ops") {
            simdjson::dom::array list;
            if (value.get(list) != simdjson::SUCCESS) return wrong("has key_ops that are not an array");
            members.key_ops = list;
        } else if (auto* member = members.text(name)) {
            std::string_view text;
            if (value.get(text) != simdjson::SUCCESS)
                return wrong("has a " + std::string(name) + " that is not a string");
            *member = text;
        }
    }
    return {};
}

/// Whether it is meant for checking signatures (RFC 7517 §4.2, §4.3).
bool is_for_signatures(const Members& members) {
    if (members.use && *members.use != "sig") return false;
    if (!members.key_ops) return true;
    for (element operation : *members.key_ops) {
        std::string_view text;
        if (operation.get(text) == simdjson::SUCCESS && text == "verify") return true;
    }
    return false;
}

tl::expected<std::string, std::string> decoded(const char* name, const std::optional<std::string_view>& text) {
    if (!text || text->empty()) return wrong("has no " + std::string(name));
    auto bytes = decode_base64(*text, Base64::url);
    if (!bytes) return wrong("has a " + std::string(name) + " that is not base64url");
    return std::move(*bytes);
}

/// The public key; an empty value for one of a kind that isn't supported.
tl::expected<std::optional<PublicKey>, std::string> public_key(const Members& members) {
    const auto made =
        [](tl::expected<PublicKey, std::string> key) -> tl::expected<std::optional<PublicKey>, std::string> {
        if (!key) return wrong("is none that can be used: " + key.error());
        return std::move(*key);
    };
    if (*members.kty == "RSA") {
        const auto n = decoded("n", members.n);
        if (!n) return tl::unexpected(n.error());
        const auto e = decoded("e", members.e);
        if (!e) return tl::unexpected(e.error());
        return made(PublicKey::from_rsa(*n, *e));
    }
    const std::string_view curve = members.crv.value_or("");
    if (*members.kty == "EC" && (curve == "P-256" || curve == "P-384")) {
        const auto x = decoded("x", members.x);
        if (!x) return tl::unexpected(x.error());
        const auto y = decoded("y", members.y);
        if (!y) return tl::unexpected(y.error());
        return made(PublicKey::from_ec(curve == "P-256" ? PublicKey::Kind::p256 : PublicKey::Kind::p384, *x, *y));
    }
    if (*members.kty == "OKP" && curve == "Ed25519") {
        const auto x = decoded("x", members.x);
        if (!x) return tl::unexpected(x.error());
        return made(PublicKey::from_ed25519(*x));
    }
    return std::nullopt;
}

/// What a key may serve: its own `alg` if it has one, and nothing that isn't allowed. None: the key isn't for us.
std::optional<AlgorithmSet> serves(const Members& members, AlgorithmSet allowed, AlgorithmSet fitting) {
    if (members.alg) {
        const auto own = parse_algorithm(*members.alg);
        if (!own || (!allowed.empty() && !allowed.has(*own))) return std::nullopt;
        return AlgorithmSet{*own};  // one that doesn't fit the key is the ring's to refuse
    }
    if (!allowed.empty() && (allowed & fitting).empty()) return std::nullopt;
    return allowed;
}

Result add_secret(const Members& members, AlgorithmSet allowed, KeyRing& ring) {
    const auto algorithms = serves(members, allowed, kHmacAlgorithms);
    if (!algorithms) return {};
    auto bytes = decoded("k", members.k);
    if (!bytes) return tl::unexpected(bytes.error());
    const Secret secret(std::move(*bytes));
    if (auto added = ring.add_secret(std::string(members.kid.value_or("")), secret.bytes, *algorithms); !added) {
        return wrong("is none that can be used: " + added.error());
    }
    return {};
}

Result add_key(const Members& members, AlgorithmSet allowed, KeyRing& ring) {
    if (!members.kty) return wrong("has no kty");
    if (members.is_private) {
        return wrong("is a private one: expected public keys (and secrets) alone, so that it can sign nothing here");
    }
    if (members.kid && (members.kid->empty() || members.kid->size() > kMaxKeyName)) {
        return wrong("has a kid of " + std::to_string(members.kid->size()) + " bytes: expected 1 to 255");
    }
    if (!is_for_signatures(members)) return {};
    if (*members.kty == "oct") return add_secret(members, allowed, ring);
    const auto key = public_key(members);
    if (!key) return tl::unexpected(key.error());
    if (!*key) return {};
    const auto algorithms = serves(members, allowed, (*key)->fitting());
    if (!algorithms) return {};
    if (auto added = ring.add_public(std::string(members.kid.value_or("")), **key, *algorithms); !added) {
        return wrong("is none that can be used: " + added.error());
    }
    return {};
}

void wipe(const std::optional<std::string_view>& text) noexcept {
    // It stands in the parser's own buffer, which nobody else has.
    if (text) OPENSSL_cleanse(const_cast<char*>(text->data()), text->size());
}

}  // namespace

tl::expected<KeyRing, std::string> parse_jwks(std::string_view json, AlgorithmSet allowed) {
    if (json.size() > kMaxJwks) return wrong("it is longer than 256k");
    // The parser wants bytes behind the text that it may read; left to itself it would make a copy that isn't wiped.
    Secret padded(std::string(json.size() + simdjson::SIMDJSON_PADDING, ' '));
    padded.bytes.replace(0, json.size(), json);
    simdjson::dom::parser parser;
    simdjson::dom::object set;
    constexpr std::size_t kMaxDepth = 16;
    if (parser.allocate(json.size() + 1, kMaxDepth) != simdjson::SUCCESS ||
        parser.parse(padded.bytes.data(), json.size(), false).get(set) != simdjson::SUCCESS) {
        return wrong("it is not a JSON object");
    }
    std::optional<simdjson::dom::array> keys;
    for (auto [name, value] : set) {
        if (name != "keys") continue;
        simdjson::dom::array list;
        if (keys) return wrong("it has keys twice");
        if (value.get(list) != simdjson::SUCCESS) return wrong("its keys are not an array");
        keys = list;
    }
    if (!keys) return wrong("it is not a JWK set: it has no keys");

    KeyRing ring;
    std::vector<std::string_view> names;
    std::size_t number = 0;
    for (element item : *keys) {
        const auto of_key = [&number](const std::string& why) { return "key " + std::to_string(number) + " " + why; };
        if (++number > kMaxKeys) return wrong("it has more than 64 keys");
        simdjson::dom::object object;
        if (item.get(object) != simdjson::SUCCESS) return wrong(of_key("is not an object"));
        Members members;
        Result added = read_members(object, members);
        if (added && members.kid && is_for_signatures(members)) {
            for (std::string_view other : names) {
                if (other == *members.kid) added = wrong("has the kid of another");
            }
            names.push_back(*members.kid);
        }
        if (added) added = add_key(members, allowed, ring);
        wipe(members.k);
        if (!added) return wrong(of_key(added.error()));
    }
    if (ring.size() == 0)
        return wrong("it has no key that can be used" + (allowed.empty() ? "" : " for " + allowed.names()));
    return ring;
}

}  // namespace weft

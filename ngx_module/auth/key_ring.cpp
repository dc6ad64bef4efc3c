#include "auth/key_ring.hpp"

#include <utility>

namespace weft {

namespace {

tl::unexpected<std::string> none_fits(AlgorithmSet named, AlgorithmSet fitting) {
    return tl::unexpected("the key can't serve " + named.names() + ": it is one for " + fitting.names());
}

}  // namespace

tl::expected<void, std::string> KeyRing::add_secret(const std::string& name, std::string_view secret,
                                                    AlgorithmSet algorithms) {
    const AlgorithmSet serves = algorithms.empty() ? AlgorithmSet{Algorithm::hs256} : algorithms & kHmacAlgorithms;
    if (serves.empty()) return none_fits(algorithms, kHmacAlgorithms);
    const KeyId id = key_id_of(secret);
    for (Algorithm algorithm : kAlgorithms) {
        if (!serves.has(algorithm)) continue;
        if (auto done = add(name, algorithm, id, make_hmac_verifier(algorithm, secret)); !done) return done;
    }
    return {};
}

tl::expected<void, std::string> KeyRing::add_public(const std::string& name, const PublicKey& key,
                                                    AlgorithmSet algorithms) {
    const AlgorithmSet serves = algorithms.empty() ? AlgorithmSet{key.usual()} : algorithms & key.fitting();
    if (serves.empty()) return none_fits(algorithms, key.fitting());
    const KeyId id = key.id();
    for (Algorithm algorithm : kAlgorithms) {
        if (!serves.has(algorithm)) continue;
        if (auto done = add(name, algorithm, id, make_public_verifier(algorithm, key)); !done) return done;
    }
    return {};
}

tl::expected<void, std::string> KeyRing::add(std::string name, Algorithm algorithm, KeyId id,
                                             tl::expected<std::unique_ptr<SignatureVerifier>, std::string> verifier) {
    if (!verifier) return tl::unexpected(std::move(verifier.error()));
    if (entries_.size() == kMaxKeys) {
        return tl::unexpected("there are more than " + std::to_string(kMaxKeys) + " keys");
    }
    std::size_t nameless = 0;
    for (const Entry& other : entries_) nameless += other.name.empty() && other.algorithm == algorithm ? 1 : 0;
    if (name.empty() && nameless == kMaxNameless) {
        return tl::unexpected("there are more than " + std::to_string(kMaxNameless) + " keys without a kid for " +
                              std::string(name_of(algorithm)));
    }
    entries_.push_back({std::move(name), algorithm, id, std::move(*verifier)});
    return {};
}

void KeyRing::find(Algorithm algorithm, const std::optional<std::string_view>& name,
                   Candidates& candidates) const noexcept {
    const auto add_all = [&](auto chosen) {
        for (const Entry& entry : entries_) {
            if (entry.algorithm == algorithm && chosen(entry)) candidates.add(entry);
        }
    };
    const std::size_t before = candidates.count;
    if (name && !name->empty()) {
        add_all([&](const Entry& entry) { return entry.name == *name; });
        if (candidates.count > before) return;
    }
    add_all([](const Entry& entry) { return entry.name.empty(); });
    if (name) return;
    add_all([&](const Entry& entry) { return !entry.name.empty() && candidates.count - before < kMaxNameless; });
}

AlgorithmSet KeyRing::algorithms() const noexcept {
    AlgorithmSet all;
    for (const Entry& entry : entries_) all.add(entry.algorithm);
    return all;
}

}  // namespace weft

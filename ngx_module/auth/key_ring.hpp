// The keys that tickets may be signed with, each with the algorithms that it serves.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "auth/signature.hpp"

namespace weft {

inline constexpr std::size_t kMaxKeys = 64;      // of one ring, a key counted once for each of its algorithms
inline constexpr std::size_t kMaxKeyName = 255;  // bytes of `kid`

/// Errors are sentences, without any of a key's bytes.
class KeyRing {
public:
    /// Keys of one algorithm that have no name: each ticket that names none is tried with all of them.
    static constexpr std::size_t kMaxNameless = 4;

    struct Entry {
        std::string name;  // `kid`; empty: none
        Algorithm algorithm;
        KeyId id;  // of the key
        std::unique_ptr<SignatureVerifier> verifier;
    };

    /// The keys that may have signed a ticket: few, whatever the ring holds, since strangers choose what is tried.
    struct Candidates {
        std::array<const Entry*, 2 * kMaxNameless> entries{};
        std::size_t count = 0;
        void add(const Entry& entry) noexcept {
            if (count < entries.size()) entries[count++] = &entry;
        }
    };

    /// A secret serves those of `algorithms` that are HMACs, and HS256 if none are named at all. Errors: it fits none
    /// of those named, it is too short, or one of add()'s.
    tl::expected<void, std::string> add_secret(const std::string& name, std::string_view secret,
                                               AlgorithmSet algorithms);
    /// A public key serves those of `algorithms` that fit it, and its usual one if none are named at all.
    tl::expected<void, std::string> add_public(const std::string& name, const PublicKey& key, AlgorithmSet algorithms);

    /// Adds those that may have signed a ticket of this algorithm: the one of that name; if there is none, those
    /// without a name; and for a ticket that names no key, those without a name and then others, up to kMaxNameless in
    /// all.
    void find(Algorithm algorithm, const std::optional<std::string_view>& name, Candidates& candidates) const noexcept;

    /// What its keys serve together.
    [[nodiscard]] AlgorithmSet algorithms() const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

private:
    tl::expected<void, std::string> add(std::string name, Algorithm algorithm, KeyId id,
                                        tl::expected<std::unique_ptr<SignatureVerifier>, std::string> verifier);

    std::vector<Entry> entries_;
};

}  // namespace weft

#include "auth/credential_mask.hpp"

#include <algorithm>

#include "auth/cookie.hpp"

namespace weft {

void mask_all(std::span<char> text) noexcept {
    std::fill(text.begin(), text.end(), '*');
}

void mask_cookie(std::span<char> cookies, std::string_view name) noexcept {
    std::string_view rest(cookies.data(), cookies.size());
    while (const auto value = find_cookie(rest, name)) {
        const auto begin = static_cast<std::size_t>(value->data() - cookies.data());
        mask_all(cookies.subspan(begin, value->size()));
        // A quoted value may have any number of bytes behind it that find_cookie() has looked at already.
        rest = std::string_view(cookies.data(), cookies.size()).substr(begin + value->size());
        rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    }
}

void mask_bearer_pair(std::span<char> protocols) noexcept {
    const std::string_view seen(protocols.data(), protocols.size());
    bool token = false;
    for (std::size_t at = 0; at < seen.size();) {
        const std::size_t end = std::min(seen.find(',', at), seen.size());
        std::size_t first = std::min(seen.find_first_not_of(" \t", at), end);
        std::size_t last = end;
        while (last > first && (seen[last - 1] == ' ' || seen[last - 1] == '\t')) --last;
        if (first < last) {
            if (token) {
                mask_all(protocols.subspan(first, last - first));
                token = false;
            } else {
                token = seen.substr(first, last - first) == "bearer";
            }
        }
        at = end + 1;
    }
}

}  // namespace weft

#include "auth/ticket_mask.hpp"

#include <algorithm>

namespace weft {

namespace {

constexpr std::string_view kArgument = "ticket=";
constexpr std::string_view kScheme = "bearer ";
constexpr std::string_view kProtocol = "bearer.";

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool begins(std::string_view text, std::string_view lower_case) noexcept {
    return text.size() >= lower_case.size() &&
           std::equal(lower_case.begin(), lower_case.end(), text.begin(), [](char a, char b) { return a == lower(b); });
}

void hide(std::span<char> text, std::size_t begin, std::size_t end) noexcept {
    std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(end), '*');
}

}  // namespace

void mask_ticket_argument(std::span<char> text) noexcept {
    const std::string_view seen(text.data(), text.size());
    for (std::size_t at = 0; at < seen.size(); ++at) {
        if (!begins(seen.substr(at), kArgument)) continue;
        if (at > 0 && seen[at - 1] != '?' && seen[at - 1] != '&') continue;
        const std::size_t begin = at + kArgument.size();
        const std::size_t end = std::min(seen.find_first_of("& #", begin), seen.size());
        hide(text, begin, end);
        at = end;
    }
}

void mask_bearer(std::span<char> authorization) noexcept {
    if (begins({authorization.data(), authorization.size()}, kScheme)) {
        hide(authorization, kScheme.size(), authorization.size());
    }
}

void mask_bearer_protocol(std::span<char> protocols) noexcept {
    const std::string_view seen(protocols.data(), protocols.size());
    for (std::size_t at = seen.find(kProtocol); at != std::string_view::npos; at = seen.find(kProtocol, at)) {
        const std::size_t begin = at + kProtocol.size();
        const std::size_t end = std::min(seen.find_first_of(", \t", begin), seen.size());
        hide(protocols, begin, end);
        at = end;
    }
}

std::string without_ticket(std::string_view uri) {
    const std::size_t query = uri.find('?');
    if (query == std::string_view::npos) return std::string(uri);
    const std::size_t fragment = std::min(uri.find('#', query), uri.size());
    std::string rest(uri.substr(0, query));
    bool dropped = false;
    char separator = '?';
    for (std::size_t begin = query + 1; begin <= fragment;) {
        const std::size_t end = std::min(uri.find('&', begin), fragment);
        const std::string_view argument = uri.substr(begin, end - begin);
        if (begins(argument, kArgument)) {
            dropped = true;
        } else {
            rest.append(1, separator).append(argument);
            separator = '&';
        }
        begin = end + 1;
    }
    if (!dropped) return std::string(uri);
    return rest.append(uri.substr(fragment));
}

}  // namespace weft

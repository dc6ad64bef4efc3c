// A client's Sec-WebSocket-Extensions, under the policy that the first three bytes choose. What is agreed must be what
// a naive reading agrees to, as far as that understands the header, and the answer must say it.
#include "websocket/extensions.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/require.hpp"

namespace {

using namespace weft::websocket;

std::string trim(const std::string& text) {
    const auto first = text.find_first_not_of(" \t");
    return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    for (std::size_t to = 0; to != text.npos; from = to + 1) {
        to = text.find(at, from);
        parts.push_back(trim(text.substr(from, to == text.npos ? to : to - from)));
    }
    return parts;
}

int window_of(const std::string& text) {
    for (int bits = 8; bits <= 15; ++bits) {
        if (text == std::to_string(bits)) return bits;
    }
    return 0;
}

// For headers without quotes.
std::optional<DeflateParameters> negotiate_naively(const std::string& header, const DeflatePolicy& policy) {
    for (const std::string& element : split(header, ',')) {
        const auto parts = split(element, ';');
        if (parts[0] != "permessage-deflate") continue;
        std::map<std::string, std::string> parameters;
        bool good = true;
        for (std::size_t i = 1; i < parts.size(); ++i) {
            const auto equals = parts[i].find('=');
            const std::string name = trim(parts[i].substr(0, equals));
            const std::string value = equals == std::string::npos ? "none" : trim(parts[i].substr(equals + 1));
            const bool no_takeover = name == "server_no_context_takeover" || name == "client_no_context_takeover";
            const bool server_window = name == "server_max_window_bits";
            const bool client_window = name == "client_max_window_bits";
            good = good && (no_takeover || server_window || client_window);
            good = good && (!no_takeover || equals == std::string::npos);
            good = good && (!server_window || window_of(value) >= 9);  // no 8: zlib hasn't it
            good = good && (!client_window || equals == std::string::npos || window_of(value) != 0);
            good = good && parameters.emplace(name, value).second;
        }
        if (!good) {
            // Only a window of 8 is declined for another reason than being wrong; the outcome is the same.
            continue;
        }
        DeflateParameters agreed;
        agreed.server_window = policy.server_window;
        if (parameters.contains("server_max_window_bits")) {
            const int asked = window_of(parameters["server_max_window_bits"]);
            agreed.server_window = static_cast<std::uint8_t>(std::min<int>(asked, agreed.server_window));
        }
        if (parameters.contains("client_max_window_bits")) {
            const int asked = window_of(parameters["client_max_window_bits"]);
            agreed.client_window =
                static_cast<std::uint8_t>(std::min<int>(asked == 0 ? 15 : asked, policy.client_window));
        }
        agreed.server_takeover = policy.server_takeover && !parameters.contains("server_no_context_takeover");
        agreed.client_takeover = policy.client_takeover && !parameters.contains("client_no_context_takeover") &&
                                 agreed.client_window <= policy.client_window;
        return agreed;
    }
    return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    DeflatePolicy policy;
    policy.server_window = static_cast<std::uint8_t>(9 + data[0] % 7);
    policy.client_window = static_cast<std::uint8_t>(9 + data[1] % 7);
    policy.server_takeover = (data[2] & 1) != 0;
    policy.client_takeover = (data[2] & 2) != 0;
    const std::string header(reinterpret_cast<const char*>(data) + 3, size - 3);

    std::string answer;
    const auto agreed = negotiate_deflate(header, policy, answer);
    REQUIRE(agreed.has_value() != answer.empty());
    if (header.find('"') == header.npos) REQUIRE(agreed == negotiate_naively(header, policy));
    if (!agreed) return 0;
    REQUIRE(agreed->server_window >= kMinWindow && agreed->server_window <= policy.server_window);
    REQUIRE(agreed->client_window >= 8 && agreed->client_window <= kMaxWindow);
    REQUIRE(!agreed->server_takeover || policy.server_takeover);
    REQUIRE(!agreed->client_takeover || (policy.client_takeover && agreed->client_window <= policy.client_window));
    // The answer is written in the same grammar: read as an offer to one who takes everything, it says the same.
    std::string again;
    REQUIRE(negotiate_deflate(answer, {.server_takeover = true, .client_takeover = true}, again) == agreed);
    REQUIRE(header.find("permessage-deflate") != header.npos);
    return 0;
}

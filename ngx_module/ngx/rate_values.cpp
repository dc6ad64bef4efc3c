#include "ngx/rate_values.hpp"

#include <string>
#include <utility>

#include "ngx/conf_values.hpp"

namespace weft {

namespace {

constexpr ngx_uint_t kMostRate = 1'000'000;
constexpr ngx_uint_t kMostBurst = 1'000'000;
constexpr std::size_t kMostBytes = std::size_t{1024} * 1024 * 1024;

std::nullopt_t refuse(ngx_conf_t* cf, const std::string& why) noexcept {
    fail(cf, why);
    return std::nullopt;
}

std::string in(std::string_view directive) {
    return " in \"" + std::string(directive) + "\", expected ";
}

std::optional<Rate> read_count(ngx_conf_t* cf, std::string_view directive, const ngx_str_t& word) noexcept {
    const std::string_view text = view(word);
    const bool per_minute = text.ends_with("r/m");
    std::optional<ngx_uint_t> count;
    if (text.size() > 3 && (per_minute || text.ends_with("r/s"))) {
        count = read_number({text.size() - 3, word.data}, 1, kMostRate);
    }
    if (!count) {
        return refuse(cf, "invalid rate " + quoted(word) + in(directive) + "a rate such as 100r/s or 30r/m, or off");
    }
    Rate rate;
    rate.per_second = static_cast<double>(*count) / (per_minute ? 60 : 1);
    return rate;
}

bool read_burst(ngx_conf_t* cf, std::string_view directive, const ngx_str_t& word, const ngx_str_t& text,
                Rate& rate) noexcept {
    const auto burst = read_number(text, 0, kMostBurst);
    if (!burst) {
        fail(cf, "invalid parameter " + quoted(word) + in(directive) + "burst=NUMBER");
        return false;
    }
    rate.burst = static_cast<std::uint32_t>(*burst);
    return true;
}

std::optional<std::size_t> read_size(ngx_str_t text) noexcept {
    if (text.len == 0) return std::nullopt;
    const ssize_t size = ngx_parse_size(&text);
    if (size < 1 || static_cast<std::size_t>(size) > kMostBytes) return std::nullopt;
    return static_cast<std::size_t>(size);
}

/// SIZE/s
std::optional<std::size_t> read_size_per_second(const ngx_str_t& text) noexcept {
    if (!view(text).ends_with("/s")) return std::nullopt;
    return read_size({text.len - 2, text.data});
}

bool is_off(std::span<const ngx_str_t> words) noexcept {
    return !words.empty() && view(words[0]) == "off";
}

bool off_alone(ngx_conf_t* cf, std::string_view directive, std::span<const ngx_str_t> words) noexcept {
    if (words.size() == 1) return true;
    fail(cf, "\"" + std::string(directive) + " off\" takes no further parameter");
    return false;
}

}  // namespace

std::optional<Rate> read_rate(ngx_conf_t* cf, std::string_view directive, std::span<const ngx_str_t> words) noexcept {
    if (is_off(words)) return off_alone(cf, directive, words) ? std::optional<Rate>(Rate{}) : std::nullopt;
    auto rate = read_count(cf, directive, words[0]);
    if (!rate || words.size() == 1) return rate;
    const auto burst = parameter(words[1], "burst");
    if (!burst || words.size() > 2) {
        return refuse(cf, "invalid parameter " + quoted(words[words.size() - 1]) + in(directive) + "burst=NUMBER");
    }
    return read_burst(cf, directive, words[1], *burst, *rate) ? rate : std::nullopt;
}

bool read_traffic(ngx_conf_t* cf, std::span<const ngx_str_t> words, Rate& messages, ByteRate& bytes) noexcept {
    constexpr std::string_view kName = "weft_rate";
    if (is_off(words)) {
        messages = {};
        bytes = {};
        return off_alone(cf, kName, words);
    }
    const auto rate = read_count(cf, kName, words[0]);
    if (!rate) return false;
    messages = *rate;
    bool bytes_said = false;
    bool bytes_off = false;
    std::optional<std::size_t> bytes_burst;
    bool burst_said = false;
    for (const ngx_str_t& word : words.subspan(1)) {
        bool twice = false;
        bool good = false;
        if (const auto burst = parameter(word, "burst")) {
            twice = std::exchange(burst_said, true);
            if (!read_burst(cf, kName, word, *burst, messages)) return false;
            good = true;
        } else if (const auto amount = parameter(word, "bytes")) {
            twice = std::exchange(bytes_said, true);
            bytes_off = view(*amount) == "off";
            const auto size = read_size_per_second(*amount);
            good = bytes_off || size;
            if (size) bytes = {static_cast<double>(*size), std::uint64_t{*size} * 4};
            if (bytes_off) bytes = {};
        } else if (const auto at_once = parameter(word, "bytes_burst")) {
            twice = bytes_burst.has_value();
            bytes_burst = read_size(*at_once);
            good = bytes_burst.has_value();
        }
        if (twice) {
            fail(cf, quoted(word) + " in \"weft_rate\" is there already");
            return false;
        }
        if (!good) {
            fail(cf, "invalid parameter " + quoted(word) + in(kName) +
                         "burst=NUMBER, bytes=SIZE/s (up to 1g) or bytes=off, bytes_burst=SIZE (up to 1g), for example "
                         "bytes=1m/s bytes_burst=4m");
            return false;
        }
    }
    if (bytes_burst && bytes_off) {
        fail(cf, "\"bytes_burst\" in \"weft_rate\" goes with a rate of bytes, and that is off");
        return false;
    }
    if (bytes_burst) bytes.burst = *bytes_burst;
    return true;
}

}  // namespace weft

#include "ngx/channel_directive.hpp"

#include <string>

#include "ngx/conf_values.hpp"
#include "ngx/rate_values.hpp"
#include "ngx/settings.hpp"
#include "weft/link_session.hpp"

namespace weft {

namespace {

constexpr ngx_uint_t kMostHistory = 1'000'000;
constexpr ngx_msec_t kLongestHistory = ngx_msec_t{365} * 24 * 3600 * 1000;
constexpr ngx_uint_t kMostMembers = 1'000'000'000;
constexpr ngx_msec_t kLongestDebounce = 600'000;

/// The rule that a block makes, while it is being read.
struct ChannelOptions {
    ChannelRule rule;
    std::uint32_t seen = 0;  // a bit for each option that was given

    [[nodiscard]] bool given(std::string_view name) const noexcept;
};

using Words = std::span<const ngx_str_t>;  // of a line, without the option's name

char* wrong(ngx_conf_t* cf, std::string_view option, std::string_view expected) noexcept {
    return fail(
        cf, "invalid value of \"" + std::string(option) + "\" in \"weft_channel\", expected " + std::string(expected));
}

/// NAME on; or NAME off;
template <bool ChannelRule::*kFlag>
char* read_flag(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const std::string_view value = words.size() == 1 ? view(words[0]) : std::string_view();
    if (value != "on" && value != "off") {
        const std::string option(name);
        return wrong(cf, name, "\"" + option + " on;\" or \"" + option + " off;\"");
    }
    rule.*kFlag = value == "on";
    return NGX_CONF_OK;
}

/// presence off; presence on [debounce=TIME]; presence counts;
char* read_presence(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const std::string_view value = view(words[0]);
    const bool known = value == "on" || value == "counts" || value == "off";
    if (!known || words.size() > 2 || (words.size() == 2 && value != "on")) {
        return wrong(cf, name, "\"presence on;\" or \"presence off;\" or \"presence counts;\"");
    }
    rule.presence = value != "off";
    rule.presence_counts = value == "counts";
    if (words.size() == 1) return NGX_CONF_OK;
    const auto text = parameter(words[1], "debounce");
    const auto debounce = text ? read_time(*text, 0) : std::nullopt;
    if (!debounce || *debounce > kLongestDebounce) {
        return wrong(cf, name, "\"debounce=\" and a time up to 10m, such as \"presence on debounce=10s;\"");
    }
    rule.debounce = std::chrono::milliseconds(*debounce);
    return NGX_CONF_OK;
}

char* read_overflow(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const std::string_view value = words.size() == 1 ? view(words[0]) : std::string_view();
    if (value == "close") {
        rule.overflow = Overflow::close;
    } else if (value == "drop_oldest") {
        rule.overflow = Overflow::drop_oldest;
    } else if (value == "conflate") {
        rule.overflow = Overflow::conflate;
    } else {
        return wrong(cf, name, "\"overflow close;\", \"overflow drop_oldest;\" or \"overflow conflate;\"");
    }
    return NGX_CONF_OK;
}

char* read_ack(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const std::string_view value = words.size() == 1 ? view(words[0]) : std::string_view();
    if (value != "local" && value != "peer") return wrong(cf, name, "\"ack local;\" or \"ack peer;\"");
    rule.ack = value == "peer" ? Ack::peer : Ack::local;
    return NGX_CONF_OK;
}

char* read_deliver(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const std::string_view value = words.size() == 1 ? view(words[0]) : std::string_view();
    if (value != "all" && value != "latest") return wrong(cf, name, "\"deliver all;\" or \"deliver latest;\"");
    rule.latest = value == "latest";
    return NGX_CONF_OK;
}

char* read_deny(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    for (const ngx_str_t& word : words) {
        const std::uint8_t actions = view(word) == "all" ? kAllActions : view(word) == "*" ? 0 : actions_of(view(word));
        if (actions == 0) {
            return wrong(
                cf, name,
                "\"deny all;\" or some of subscribe, publish, signal, presence and history, not " + quoted(word));
        }
        rule.denied |= actions;
    }
    return NGX_CONF_OK;
}

char* read_history(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    if (words.size() == 1 && view(words[0]) == "off") return NGX_CONF_OK;
    const auto count = !words.empty() ? read_number(words[0], 1, kMostHistory) : std::nullopt;
    const auto age = words.size() == 2 ? read_time(words[1], 1) : std::nullopt;
    if (!count || !age || *age > kLongestHistory) {
        return wrong(cf, name,
                     "a number of publications up to " + std::to_string(kMostHistory) +
                         " and a time up to 1y, such as \"history 100 10m;\", or \"history off;\"");
    }
    rule.history_count = static_cast<std::uint32_t>(*count);
    rule.history_age = std::chrono::milliseconds(*age);
    return NGX_CONF_OK;
}

char* read_channel_rate(ngx_conf_t* cf, std::string_view, Words words, ChannelRule& rule) noexcept {
    const auto rate = read_rate(cf, "rate", words);
    if (!rate) return kFailed;
    rule.rate = *rate;
    return NGX_CONF_OK;
}

char* read_max_size(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    ngx_str_t text = words.size() == 1 ? words[0] : ngx_str_t{};
    const ssize_t size = text.len != 0 ? ngx_parse_size(&text) : NGX_ERROR;
    if (size < 1 || static_cast<std::size_t>(size) > kMaxData) {
        return wrong(cf, name, "1 byte to 8m, for example \"max_size 4k;\"");
    }
    rule.max_size = static_cast<std::size_t>(size);
    return NGX_CONF_OK;
}

char* read_max_members(ngx_conf_t* cf, std::string_view name, Words words, ChannelRule& rule) noexcept {
    const auto number = words.size() == 1 ? read_number(words[0], 1, kMostMembers) : std::nullopt;
    if (!number) {
        return wrong(cf, name, "1 to " + std::to_string(kMostMembers) + ", for example \"max_members 500;\"");
    }
    rule.max_members = static_cast<std::uint32_t>(*number);
    return NGX_CONF_OK;
}

struct Option {
    std::string_view name;
    char* (*read)(ngx_conf_t*, std::string_view name, Words, ChannelRule&) noexcept;
};

constexpr Option kOptions[] = {
    {"publish", read_flag<&ChannelRule::publish>},
    {"public", read_flag<&ChannelRule::open>},
    {"signal", read_flag<&ChannelRule::signal>},
    {"presence", read_presence},
    {"deny", read_deny},
    {"history", read_history},
    {"ack", read_ack},
    {"overflow", read_overflow},
    {"deliver", read_deliver},
    {"rate", read_channel_rate},
    {"max_size", read_max_size},
    {"max_members", read_max_members},
};

bool ChannelOptions::given(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < std::size(kOptions); ++i) {
        if (kOptions[i].name == name) return (seen & 1U << i) != 0;
    }
    return false;
}

/// One line of the block.
char* set_channel_option(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& options = *static_cast<ChannelOptions*>(conf);
    const Words words(args(cf), cf->args->nelts);
    const std::string_view name = view(words[0]);
    for (std::size_t i = 0; i < std::size(kOptions); ++i) {
        if (name != kOptions[i].name) continue;
        if ((options.seen & 1U << i) != 0) {
            return fail(cf, "\"" + std::string(name) + "\" is duplicate in \"weft_channel\"");
        }
        options.seen |= 1U << i;
        if (words.size() == 1) {
            return fail(cf, "invalid number of arguments in \"" + std::string(name) +
                                "\" in \"weft_channel\", expected a value, for example \"publish on;\"");
        }
        return kOptions[i].read(cf, name, words.subspan(1), options.rule);
    }
    if (name == "conflate") {
        return fail(cf, "unknown option \"conflate\" in \"weft_channel\", expected \"overflow conflate;\"");
    }
    std::string known;
    for (const Option& option : kOptions) known.append(known.empty() ? "" : ", ").append(option.name);
    return fail(cf, "unknown option " + quoted(words[0]) + " in \"weft_channel\", expected one of " + known);
}

}  // namespace

char* set_channel(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    auto pattern = ChannelPattern::parse(view(args(cf)[1]));
    if (!pattern)
        return fail(cf, "invalid pattern " + quoted(args(cf)[1]) + " in \"weft_channel\": " + pattern.error());
    for (const ChannelRule& rule : settings.rules.all()) {
        if (rule.pattern.text() == pattern->text()) {
            return fail(cf, "\"weft_channel " + pattern->text() + "\" is there already, expected one block a pattern");
        }
    }
    ChannelOptions options{{std::move(*pattern)}};
    const ngx_conf_t outer = *cf;
    cf->handler = set_channel_option;
    cf->handler_conf = reinterpret_cast<char*>(&options);
    char* const result = ngx_conf_parse(cf, nullptr);
    *cf = outer;
    if (result != NGX_CONF_OK) return result;
    if (options.rule.latest) {
        if (!options.given("history")) {
            options.rule.history_count = 1;
            options.rule.history_age = std::chrono::milliseconds(kLongestHistory);
        } else if (options.rule.history_count == 0) {
            return fail(cf, "\"deliver latest\" in \"weft_channel " + options.rule.pattern.text() +
                                "\" needs a history of one publication at least, and \"history off;\" is beside it; "
                                "expected another history, or none, which is taken for \"history 1 1y;\"");
        }
        if (!options.given("overflow")) options.rule.overflow = Overflow::conflate;
    }
    if (options.rule.ack == Ack::peer && options.rule.history_count == 0) {
        return fail(cf, "\"ack peer\" in \"weft_channel " + options.rule.pattern.text() +
                            "\" needs a history, since that is where the second node keeps what it confirms; expected "
                            "\"history COUNT AGE;\" beside it, for example \"history 100 10m;\"");
    }
    settings.rules.add(std::move(options.rule));
    return NGX_CONF_OK;
}

}  // namespace weft

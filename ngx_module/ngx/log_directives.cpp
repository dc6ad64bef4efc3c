// weft_log and weft_log_format, as nginx.conf says them.
#include "ngx/conf_values.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/settings.hpp"

namespace weft {

char* set_log(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    const std::size_t words = cf->args->nelts;
    const bool off = view(args(cf)[1]) == "off";
    if (settings.logs != nullptr && (off || settings.logs->empty())) {
        return fail(cf, "\"weft_log off\" and another \"weft_log\" are in the same block, expected one or the other");
    }
    if (settings.logs == nullptr) settings.logs = std::make_shared<ConnectionLogs>();
    if (off) {
        return words == 2 ? NGX_CONF_OK : fail(cf, "\"weft_log off\" takes no further parameter");
    }
    if (settings.logs->size() == LocationSettings::kMaxLogs) {
        return fail(
            cf, "too many \"weft_log\" in one block, expected at most " + std::to_string(LocationSettings::kMaxLogs));
    }

    ConnectionLog log{};
    std::optional<std::string_view> format;
    for (std::size_t i = 2; i < words; ++i) {
        const ngx_str_t& argument = args(cf)[i];
        if (view(argument).starts_with("if=")) {
            if (log.condition) return fail(cf, "\"if=\" is duplicate in \"weft_log\"");
            log.condition.emplace(LogEscape::none);
            if (!log.condition->add(cf, {argument.len - 3, argument.data + 3}, "weft_log")) return kFailed;
        } else if (i == 2) {
            format = view(argument);
        } else {
            return fail(cf, "invalid parameter " + quoted(argument) + " in \"weft_log\", expected if=CONDITION");
        }
    }
    auto& main = *static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module));
    log.format = find_log_format(cf, main.log_formats, format.value_or(kDefaultLogFormat));
    if (log.format == nullptr || !log.sink.open(cf)) return kFailed;
    settings.logs->push_back(std::move(log));
    return NGX_CONF_OK;
}

char* set_log_format(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<MainSettings*>(conf);
    const ngx_str_t* words = args(cf);
    const std::string_view name = view(words[1]);
    bool known = name == kDefaultLogFormat;
    for (const NamedLogFormat& format : settings.log_formats) known = known || format.name == name;
    if (known) {
        return fail(cf, "the format " + quoted(words[1]) +
                            " of \"weft_log_format\" is there already, expected a name "
                            "of its own");
    }
    std::size_t first = 2;
    LogEscape escape = LogEscape::standard;
    if (const auto value = parameter(words[2], "escape"); value || view(words[2]) == "escape=") {
        if (value && view(*value) == "json") {
            escape = LogEscape::json;
        } else if (value && view(*value) == "none") {
            escape = LogEscape::none;
        } else if (!value || view(*value) != "default") {
            return fail(cf, "unknown escaping " + quoted(words[2]) +
                                " in \"weft_log_format\", expected escape=default, escape=json or escape=none");
        }
        ++first;
    }
    LogFormat format(escape);
    for (std::size_t i = first; i < cf->args->nelts; ++i) {
        if (!format.add(cf, words[i], "weft_log_format")) return kFailed;
    }
    settings.log_formats.push_back({std::string(name), std::move(format)});
    return NGX_CONF_OK;
}

}  // namespace weft

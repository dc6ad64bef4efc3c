#include "ngx/origin_directive.hpp"

#include <string>
#include <vector>

#include "ngx/conf_values.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

#if (NGX_PCRE)

/// The whole origin must match, as if the expression stood between ^ and $: without them "~example\.com" would let
/// https://example.com.evil.org in.
tl::expected<OriginPolicy::Expression, std::string> compile(ngx_conf_t* cf, std::string_view text, bool caseless) {
    const std::string whole = "\\A(?:" + std::string(text) + ")\\z";
    u_char error[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t regex;
    ngx_memzero(&regex, sizeof(regex));
    regex.pattern = copy_to_pool(cf->pool, whole);
    regex.pool = cf->pool;
    regex.options = caseless ? NGX_REGEX_CASELESS : 0;
    regex.err.data = error;
    regex.err.len = sizeof(error);
    if (regex.pattern.data == nullptr || ngx_regex_compile(&regex) != NGX_OK) {
        return tl::unexpected(std::string(view(regex.err)));
    }
    return [compiled = regex.regex](std::string_view origin) {
        ngx_str_t subject{origin.size(), reinterpret_cast<u_char*>(const_cast<char*>(origin.data()))};
        return ngx_regex_exec(compiled, &subject, nullptr, 0) >= 0;
    };
}

#endif

}  // namespace

char* set_origin(ngx_conf_t* cf, ngx_command_t*, void* conf) noexcept {
    auto& settings = *static_cast<LocationSettings*>(conf);
    if (settings.origins) return const_cast<char*>("is duplicate");
    std::vector<std::string_view> entries;
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        entries.push_back(view(args(cf)[i]));
        settings.origins_said.append(entries.back()) += '\n';
    }
    OriginPolicy::Compile expressions;
#if (NGX_PCRE)
    expressions = [cf](std::string_view text, bool caseless) { return compile(cf, text, caseless); };
#endif
    auto policy = OriginPolicy::parse(entries, expressions);
    if (!policy) return fail(cf, "invalid value in \"weft_origin\": " + policy.error());
    settings.origins = std::make_shared<const OriginPolicy>(std::move(*policy));
    return NGX_CONF_OK;
}

}  // namespace weft

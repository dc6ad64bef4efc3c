// What nginx.conf says of credentials.
#include <openssl/crypto.h>

#include <cstring>
#include <string>

#include "auth/cookie.hpp"
#include "auth/grants_text.hpp"
#include "ngx/conf_values.hpp"
#include "ngx/credentials.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxKeyFile = std::size_t{16} * 1024 * 1024;  // bytes: ApiKeys::kMaxKeys lines

char* duplicate() noexcept {
    return const_cast<char*>("is duplicate");
}

char* compile(ngx_conf_t* cf, ngx_http_complex_value_t*& value) noexcept {
    if (value != nullptr) return duplicate();
    auto* compiled = static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));
    if (compiled == nullptr) return kFailed;
    ngx_http_compile_complex_value_t compile;
    ngx_memzero(&compile, sizeof(compile));
    compile.cf = cf;
    compile.value = &args(cf)[1];
    compile.complex_value = compiled;
    if (ngx_http_compile_complex_value(&compile) != NGX_OK) return kFailed;
    value = compiled;
    return NGX_CONF_OK;
}

/// "off", or a time of at least `least` milliseconds; off is 0.
char* read_time_or_off(ngx_conf_t* cf, std::optional<ngx_msec_t>& value, ngx_msec_t least, const char* expected) {
    if (value) return duplicate();
    if (view(args(cf)[1]) == "off") {
        value = 0;
        return NGX_CONF_OK;
    }
    value = read_time(args(cf)[1], least);
    if (!value) {
        return fail(cf, "invalid time " + quoted(args(cf)[1]) + " in \"" + std::string(view(args(cf)[0])) +
                            "\", expected " + expected);
    }
    return NGX_CONF_OK;
}

tl::expected<std::string, std::string> read_key_file(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return tl::unexpected(std::string(std::strerror(errno)));
    std::string content;
    char block[4096];
    for (std::size_t size = 1; size > 0 && content.size() <= kMaxKeyFile;) {
        size = std::fread(block, 1, sizeof(block), file);
        content.append(block, size);
    }
    const bool failed = std::ferror(file) != 0;
    std::fclose(file);
    if (failed) return tl::unexpected(std::string("it can't be read"));
    if (content.size() > kMaxKeyFile) return tl::unexpected(std::string("it is longer than 16m"));
    return content;
}

}  // namespace

char* read_cookie(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (settings.cookie) return duplicate();
    const std::string_view name = view(args(cf)[1]);
    if (!is_cookie_name(name)) {
        return fail(cf, "invalid name " + quoted(args(cf)[1]) +
                            " in \"weft_cookie\", expected a cookie's name such as __Host-weft, or off");
    }
    settings.cookie = name == "off" ? std::string() : std::string(name);
    return NGX_CONF_OK;
}

char* read_user(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (char* result = compile(cf, settings.user); result != NGX_CONF_OK) return result;
    if (settings.user->lengths == nullptr && settings.user->value.len > 0) {
        return fail(cf, quoted(args(cf)[1]) +
                            " in \"weft_user\" has no variable, expected for example $remote_user: everybody "
                            "would be the same user (for those without credentials there is \"weft_anonymous\")");
    }
    return NGX_CONF_OK;
}

char* read_grants(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (char* result = compile(cf, settings.grants); result != NGX_CONF_OK) return result;
    if (settings.grants->lengths != nullptr || settings.grants->value.len == 0) return NGX_CONF_OK;
    const auto grants = parse_grants(view(settings.grants->value));
    if (grants) return NGX_CONF_OK;
    return fail(cf, "invalid value in \"weft_grants\": " + grants.error() +
                        ", expected {\"channels\":{\"chat:*\":[\"subscribe\"]},\"rpc\":[\"echo\"]}, or a variable");
}

char* read_anonymous(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (settings.anonymous_said) return duplicate();
    const std::string_view word = view(args(cf)[1]);
    if (word != "on" && word != "off") {
        return fail(cf, "invalid value " + quoted(args(cf)[1]) + " in \"weft_anonymous\", expected on or off");
    }
    settings.anonymous_said = true;
    if (word == "off") {
        if (cf->args->nelts > 2) return fail(cf, "\"weft_anonymous off\" takes no further parameter");
        return NGX_CONF_OK;
    }
    Identity nobody;
    if (cf->args->nelts > 2) {
        const auto text = parameter(args(cf)[2], "grants");
        if (!text) {
            return fail(cf, "invalid parameter " + quoted(args(cf)[2]) +
                                " in \"weft_anonymous\", expected grants={\"channels\":{…},\"rpc\":[…]}");
        }
        auto grants = parse_grants(view(*text));
        if (!grants) {
            return fail(cf, "invalid grants in \"weft_anonymous\": " + grants.error() +
                                ", expected for example grants={\"channels\":{\"news:*\":[\"subscribe\"]}}");
        }
        nobody.grants = std::move(*grants);
    }
    settings.anonymous = std::make_shared<const Identity>(std::move(nobody));
    return NGX_CONF_OK;
}

char* read_auth_timeout(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    return read_time_or_off(cf, settings.auth_timeout, 100, "at least 100ms, for example 10s, or off");
}

char* read_expiry_notice(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    return read_time_or_off(cf, settings.expiry_notice, 100, "at least 100ms, for example 30s, or off");
}

char* read_reject(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (settings.reject_http) return duplicate();
    const std::string_view word = view(args(cf)[1]);
    if (word != "http" && word != "close") {
        return fail(cf, "invalid value " + quoted(args(cf)[1]) + " in \"weft_reject\", expected http or close");
    }
    settings.reject_http = word == "http";
    return NGX_CONF_OK;
}

char* read_api_keys(ngx_conf_t* cf, CredentialSettings& settings) noexcept {
    if (settings.api_keys) return duplicate();
    ngx_str_t path = args(cf)[1];
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) return kFailed;
    const auto content = read_key_file(reinterpret_cast<const char*>(path.data));
    if (!content) return fail(cf, "key file " + quoted(path) + " in \"weft_api_key\": " + content.error());
    auto keys = ApiKeys::parse(*content);
    if (!keys) return fail(cf, "key file " + quoted(path) + " in \"weft_api_key\": " + keys.error());
    auto file = std::make_shared<ApiKeyFile>();
    for (const ApiKeys::Key& key : keys->all()) {
        file->identities.push_back(std::make_shared<const Identity>(Identity{key.name, key.grants}));
    }
    file->keys = std::move(*keys);
    settings.api_keys = std::move(file);
    return NGX_CONF_OK;
}

std::optional<std::string> check_credentials(const LocationSettings& location) {
    const CredentialSettings& said = location.credentials;
    const bool waits = said.auth_timeout.value_or(0) > 0;
    if (!location.tickets && said.user == nullptr && !said.anonymous) {
        return "has no \"weft_ticket\", expected \"weft_ticket key=FILE;\" here or in a block around it (or "
               "\"weft_user\", or \"weft_anonymous on\"): nobody could connect";
    }
    if (waits && !location.tickets) {
        return "has \"weft_auth_timeout\" and no \"weft_ticket\", expected \"weft_ticket key=FILE;\": no first message "
               "could be accepted";
    }
    if (waits && said.anonymous) {
        return "has \"weft_auth_timeout\" and \"weft_anonymous on\", expected one of them: whoever brings nothing "
               "can't "
               "both be waited for and be let in";
    }
    if (said.grants != nullptr && said.user == nullptr) {
        return "has \"weft_grants\" and no \"weft_user\", expected both: grants are somebody's";
    }
    return std::nullopt;
}

}  // namespace weft

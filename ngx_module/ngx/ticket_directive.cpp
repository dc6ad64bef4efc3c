#include "ngx/ticket_directive.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "ngx/conf_values.hpp"
#include "ngx/jwks_file.hpp"
#include "ngx/settings.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxKeyFile = std::size_t{64} * 1024;  // bytes
constexpr std::size_t kMaxNames = 64;                        // of issuers, and of audiences
constexpr char kExpected[] =
    "expected key=FILE or jwks=FILE, and perhaps alg=HS256,…, max_age=TIME, leeway=TIME, iss=NAME, aud=NAME, once";

/// What the directive says, before any file is read.
struct TicketOptions {
    TicketRules rules;
    AlgorithmSet algorithms;
    std::vector<ngx_str_t> keys;
    std::optional<ngx_str_t> jwks;
    bool has_leeway = false;
};

struct Wiped {
    ~Wiped() { ngx_explicit_memzero(bytes.data(), bytes.size()); }
    std::string bytes;
};

/// A key file's bytes, read at start by the master, so it need not be readable by workers.
std::string read_file(const char* path, std::string& content) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return std::strerror(errno);
    content.resize(kMaxKeyFile + 1);
    const std::size_t size = std::fread(content.data(), 1, content.size(), file);
    const bool failed = std::ferror(file) != 0;
    std::fclose(file);
    if (failed) return "it can't be read";
    if (size > kMaxKeyFile) return "it is longer than 64k";
    content.resize(size);
    return {};
}

/// "RS256,ES256" into `set`. The error names the algorithm.
char* read_algorithms(ngx_conf_t* cf, const ngx_str_t& argument, std::string_view list, AlgorithmSet& set) {
    if (!set.empty()) return fail(cf, quoted(argument) + " in \"weft_ticket\": \"alg\" is there already");
    while (true) {
        const std::size_t comma = list.find(',');
        const std::string name(list.substr(0, comma));
        const auto algorithm = parse_algorithm(name);
        if (!algorithm) {
            return fail(cf,
                        "unknown algorithm \"" + name + "\" in " + quoted(argument) +
                            " of \"weft_ticket\", expected some of HS256, HS384, HS512, RS256, PS256, ES256, ES384, "
                            "EdDSA with commas between them");
        }
        set.add(*algorithm);
        if (comma == std::string_view::npos) return NGX_CONF_OK;
        list.remove_prefix(comma + 1);
    }
}

char* read_seconds(ngx_conf_t* cf, const ngx_str_t& argument, const ngx_str_t& value, ngx_msec_t least,
                   const char* expected, std::chrono::seconds& seconds) {
    const auto time = read_time(value, least);
    if (!time) return fail(cf, "invalid time " + quoted(argument) + " in \"weft_ticket\", " + expected);
    seconds = std::chrono::seconds(*time / 1000);
    return NGX_CONF_OK;
}

char* add_name(ngx_conf_t* cf, const ngx_str_t& argument, const ngx_str_t& value, std::vector<std::string>& names) {
    if (value.len == 0) return fail(cf, quoted(argument) + " in \"weft_ticket\" is empty, expected a name");
    if (names.size() == kMaxNames) return fail(cf, "too many names in \"weft_ticket\", expected at most 64");
    names.emplace_back(view(value));
    return NGX_CONF_OK;
}

char* read_option(ngx_conf_t* cf, const ngx_str_t& argument, TicketOptions& options) {
    const auto twice = [&] { return fail(cf, quoted(argument) + " in \"weft_ticket\" is there already"); };
    TicketRules& rules = options.rules;
    if (const auto path = parameter(argument, "key")) {
        if (path->len == 0) return fail(cf, "no file in \"key=\" of \"weft_ticket\", expected key=FILE");
        options.keys.push_back(*path);
        return NGX_CONF_OK;
    }
    if (const auto path = parameter(argument, "jwks")) {
        if (options.jwks) return twice();
        if (path->len == 0) return fail(cf, "no file in \"jwks=\" of \"weft_ticket\", expected jwks=FILE");
        options.jwks = *path;
        return NGX_CONF_OK;
    }
    if (const auto list = parameter(argument, "alg")) {
        return read_algorithms(cf, argument, view(*list), options.algorithms);
    }
    if (const auto age = parameter(argument, "max_age")) {
        if (rules.max_age) return twice();
        return read_seconds(cf, argument, *age, 1000, "expected at least max_age=1s", rules.max_age.emplace());
    }
    if (const auto leeway = parameter(argument, "leeway")) {
        if (options.has_leeway) return twice();
        options.has_leeway = true;
        return read_seconds(cf, argument, *leeway, 0, "expected for example leeway=5s", rules.leeway);
    }
    if (const auto name = parameter(argument, "iss")) return add_name(cf, argument, *name, rules.issuers);
    if (const auto name = parameter(argument, "aud")) return add_name(cf, argument, *name, rules.audiences);
    if (view(argument) == "once") {
        if (rules.once) return twice();
        rules.once = true;
        return NGX_CONF_OK;
    }
    return fail(cf, "invalid parameter " + quoted(argument) + " in \"weft_ticket\", " + kExpected);
}

/// A secret, or a public key in PEM.
char* add_key(ngx_conf_t* cf, ngx_str_t path, AlgorithmSet algorithms, KeyRing& keys) {
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) return kFailed;
    const auto wrong = [&](const std::string& why) {
        return fail(cf, "key file " + quoted(path) + " in \"weft_ticket\": " + why);
    };
    Wiped content;
    if (const std::string error = read_file(reinterpret_cast<const char*>(path.data), content.bytes); !error.empty()) {
        return wrong(error);
    }
    tl::expected<void, std::string> added;
    if (content.bytes.find("-----BEGIN ") != std::string::npos) {
        const auto key = PublicKey::from_pem(content.bytes);
        if (!key) return wrong(key.error());
        added = keys.add_public({}, *key, algorithms);
    } else {
        auto secret = read_key(content.bytes);
        if (!secret)
            return wrong(secret.error() + ", expected a secret, a public key in PEM, or jwks=FILE for a JWK set");
        const Wiped wiped{std::move(*secret)};
        added = keys.add_secret({}, wiped.bytes, algorithms);
    }
    return added ? NGX_CONF_OK : wrong(added.error());
}

char* make_verifier(ngx_conf_t* cf, TicketOptions& options, std::shared_ptr<const TicketVerifier>& tickets) {
    if (options.keys.empty() && !options.jwks) {
        return fail(cf, "no key in \"weft_ticket\", expected key=FILE or jwks=FILE");
    }
    KeyRing keys;
    for (const ngx_str_t& path : options.keys) {
        if (char* result = add_key(cf, path, options.algorithms, keys); result != NGX_CONF_OK) return result;
    }
    std::unique_ptr<KeySource> source;
    if (options.jwks) {
        ngx_str_t path = *options.jwks;
        if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) return kFailed;
        auto file = JwksFile::open(std::string(view(path)), options.algorithms);
        if (!file) return fail(cf, "JWK set " + quoted(path) + " in \"weft_ticket\": " + file.error());
        source = std::move(*file);
    }
    auto verifier = TicketVerifier::create(options.rules, std::move(keys), std::move(source));
    if (!verifier) return fail(cf, "\"weft_ticket\": " + verifier.error());
    tickets = std::make_shared<const TicketVerifier>(std::move(*verifier));
    if (options.rules.once) {
        static_cast<MainSettings*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_weft_module))->tickets_once = true;
    }
    return NGX_CONF_OK;
}

}  // namespace

char* read_ticket_directive(ngx_conf_t* cf, std::shared_ptr<const TicketVerifier>& tickets) noexcept {
    if (tickets) return const_cast<char*>("is duplicate");
    try {
        TicketOptions options;
        for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
            if (char* result = read_option(cf, args(cf)[i], options); result != NGX_CONF_OK) return result;
        }
        return make_verifier(cf, options, tickets);
    } catch (const std::exception& error) {
        return fail(cf, std::string("\"weft_ticket\": ") + error.what());
    }
}

}  // namespace weft

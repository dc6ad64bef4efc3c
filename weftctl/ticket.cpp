// weftctl ticket: makes a ticket, or shows what is in one.
#include "auth/ticket.hpp"

#include <simdjson.h>

#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <vector>

#include "auth/base64.hpp"
#include "auth/jwks.hpp"
#include "auth/signing_key.hpp"
#include "codec/json_codec.hpp"
#include "command.hpp"
#include "duration.hpp"
#include "key_file.hpp"

namespace weft {

namespace {

struct TicketOptions {
    std::string key_file, jwks_file, algorithm, key_name, user, id, issuer, claims, ttl = "1h";
    std::vector<std::string> channels, methods, audiences;
    bool inspect = false;
    std::string token;
};

WallTime now() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::int64_t unix_seconds(WallTime time) {
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// "subscribe,publish" as a JSON array.
std::string actions_json(std::string_view option, std::string_view list) {
    constexpr Action kActions[] = {Action::subscribe, Action::publish, Action::signal, Action::presence,
                                   Action::history};
    std::string json = "[";
    while (true) {
        const std::size_t comma = list.find(',');
        const std::string_view name = list.substr(0, comma);
        bool known = false;
        for (Action action : kActions) known = known || name == name_of(action);
        if (!known) {
            throw UsageError("--channel " + std::string(option) + ": unknown action \"" + std::string(name) +
                             "\", expected subscribe, publish, signal, presence or history");
        }
        append_json_string(json, name);
        if (comma == std::string_view::npos) break;
        json += ',';
        list.remove_prefix(comma + 1);
    }
    return json + ']';
}

/// The members "channels" and "rpc", each with a comma in front.
std::string grants_json(const TicketOptions& options) {
    std::string json;
    for (const std::string& option : options.channels) {
        // Channels may have a "=" in their names, actions don't.
        const std::size_t equals = option.rfind('=');
        if (equals == std::string::npos) {
            throw UsageError("--channel " + option + ": expected PATTERN=ACTION,...");
        }
        const std::string_view pattern = std::string_view(option).substr(0, equals);
        if (auto parsed = ChannelPattern::parse(pattern); !parsed) {
            throw UsageError("--channel " + option + ": " + parsed.error());
        }
        json += json.empty() ? ",\"channels\":{" : ",";
        append_json_string(json, pattern);
        json += ':' + actions_json(option, std::string_view(option).substr(equals + 1));
    }
    if (!json.empty()) json += '}';
    for (std::size_t i = 0; i < options.methods.size(); ++i) {
        if (auto parsed = MethodPattern::parse(options.methods[i]); !parsed) {
            throw UsageError("--rpc " + options.methods[i] + ": " + parsed.error());
        }
        json += i == 0 ? ",\"rpc\":[" : ",";
        append_json_string(json, options.methods[i]);
    }
    if (!options.methods.empty()) json += ']';
    return json;
}

/// ",name:value" for a text that was given.
std::string text_json(const char* name, const std::string& text) {
    if (text.empty()) return {};
    std::string json = std::string(",\"") + name + "\":";
    append_json_string(json, text);
    return json;
}

/// One audience as a string, several as an array.
std::string audiences_json(const std::vector<std::string>& audiences) {
    if (audiences.empty()) return {};
    if (audiences.size() == 1) return text_json("aud", audiences.front());
    std::string json = ",\"aud\":";
    for (const std::string& audience : audiences) {
        json += &audience == &audiences.front() ? '[' : ',';
        append_json_string(json, audience);
    }
    return json + ']';
}

/// The members of --claims, with a comma in front. That none is given twice is for the verifier to say.
std::string other_claims(const std::string& text) {
    if (text.empty()) return {};
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(text).get(object) != simdjson::SUCCESS) throw UsageError("--claims: expected a JSON object");
    const std::string members = simdjson::minify(object);
    return object.size() == 0 ? std::string() : ',' + members.substr(1, members.size() - 2);
}

/// What the server has to take: any issuer, any audience.
TicketVerifier verifier_of(const SigningKey& key, Algorithm algorithm) {
    KeyRing ring;
    const auto added = key.public_key() != nullptr ? ring.add_public({}, *key.public_key(), {algorithm})
                                                   : ring.add_secret({}, key.secret(), {algorithm});
    if (!added) throw Failure(added.error());
    auto verifier = TicketVerifier::create({}, std::move(ring));
    if (!verifier) throw Failure(verifier.error());
    return std::move(*verifier);
}

void issue(const TicketOptions& options) {
    if (options.key_file.empty()) throw UsageError("ticket: --key is missing (weftctl keygen makes one)");
    if (!options.jwks_file.empty()) throw UsageError("ticket: --jwks is for --inspect");
    if (options.user.empty()) throw UsageError("ticket: --user is missing");
    const auto ttl = parse_duration(options.ttl);
    if (!ttl) throw UsageError("--ttl " + options.ttl + ": expected a duration such as 90s, 10m, 1h or 7d");
    if (options.key_name.size() > kMaxKeyName) throw UsageError("--kid: at most 255 bytes");
    const WallTime issued = now();
    std::string claims = "{\"sub\":";
    append_json_string(claims, options.user);
    claims += ",\"iat\":" + std::to_string(unix_seconds(issued));
    claims += ",\"exp\":" + std::to_string(unix_seconds(issued + *ttl));
    claims += text_json("jti", options.id) + text_json("iss", options.issuer) + audiences_json(options.audiences);
    claims += grants_json(options) + other_claims(options.claims) + '}';

    const SigningKey key = read_signing_key(options.key_file);
    const Algorithm algorithm = choose_algorithm(options.algorithm, key);
    const auto compact = sign_ticket(claims, key, algorithm, options.key_name);
    if (!compact) throw Failure(compact.error());
    // No ticket leaves that a server would refuse (a pattern given twice, a name too long, …).
    if (const auto ticket = verifier_of(key, algorithm).verify(*compact, issued); !ticket) {
        throw UsageError(ticket.error().detail);
    }
    std::cout << *compact << '\n';
}

/// What a server with this --key or --jwks would have; --alg as in weft_ticket, for one.
TicketVerifier server_of(const TicketOptions& options) {
    AlgorithmSet allowed;
    if (!options.algorithm.empty()) allowed.add(known_algorithm("--alg", options.algorithm));
    KeyRing ring;
    if (!options.jwks_file.empty()) {
        const FileContent content(options.jwks_file, kMaxJwks);
        auto keys = parse_jwks(content.text(), allowed);
        if (!keys) throw Failure(options.jwks_file + ": " + keys.error());
        ring = std::move(*keys);
    } else {
        const FileContent content(options.key_file, kMaxKeyFile);
        tl::expected<void, std::string> added;
        if (auto open = PublicKey::from_pem(content.text())) {
            added = ring.add_public({}, *open, allowed);
        } else {
            const SigningKey key = read_signing_key(options.key_file);
            added = key.public_key() != nullptr ? ring.add_public({}, *key.public_key(), allowed)
                                                : ring.add_secret({}, key.secret(), allowed);
        }
        if (!added) throw Failure(options.key_file + ": " + added.error());
    }
    auto verifier = TicketVerifier::create({}, std::move(ring));
    if (!verifier) throw Failure(verifier.error());
    return std::move(*verifier);
}

/// One of the token's JSON parts on one line, without what a terminal would obey.
void show(std::string_view name, std::string_view part) {
    const auto json = decode_base64(part, Base64::url);
    if (!json) throw Failure("the " + std::string(name) + " is not base64url");
    simdjson::dom::parser parser;
    simdjson::dom::element element;
    if (parser.parse(*json).get(element) != simdjson::SUCCESS) {
        throw Failure("the " + std::string(name) + " is not JSON");
    }
    std::cout << name << ": " << simdjson::minify(element) << '\n';
}

/// Throws Failure when the server would refuse the ticket now.
void judge(std::string_view token, const TicketOptions& options) {
    const WallTime time = now();
    const auto ticket = server_of(options).verify(token, time);
    if (!ticket) throw Failure("the ticket is refused: " + ticket.error().detail);
    std::string until;
    append_timestamp(until, ticket->expires_at);
    std::cout << "valid: until " << until << " (" << unix_seconds(ticket->expires_at) - unix_seconds(time)
              << " s from now)\n";
}

void inspect(const TicketOptions& options) {
    std::string token = options.token;
    if (token.empty()) {
        // A little more than a ticket may have, so that what is too long is refused for that.
        token.resize(kMaxTicket + 2);
        std::cin.read(token.data(), static_cast<std::streamsize>(token.size()));
        token.resize(static_cast<std::size_t>(std::cin.gcount()));
        while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
    }
    const std::size_t first = token.find('.');
    const std::size_t second = first == std::string::npos ? first : token.find('.', first + 1);
    if (second == std::string::npos) throw Failure("not a ticket: expected three parts with dots between them");
    show("header", std::string_view(token).substr(0, first));
    show("claims", std::string_view(token).substr(first + 1, second - first - 1));
    if (options.key_file.empty() && options.jwks_file.empty()) {
        std::cout << "signature: not checked (no --key)\n";
    } else {
        judge(token, options);
    }
}

}  // namespace

void add_ticket_command(CLI::App& app) {
    auto options = std::make_shared<TicketOptions>();
    CLI::App* command = app.add_subcommand("ticket", "Make a ticket, or show what is in one");
    CLI::Option* key = command->add_option("--key", options->key_file,
                                           "File with the secret or private key; for --inspect also a public key");
    command->add_option("--jwks", options->jwks_file, "For --inspect: file with a JWK set")->excludes(key);
    command->add_option("--alg", options->algorithm,
                        "HS256, HS384, HS512, RS256, PS256, ES256, ES384 or EdDSA; default: the key's usual one");
    CLI::Option* user = command->add_option("--user,--sub", options->user, "Who the client is (sub)");
    // What is in the ticket, which is not for --inspect.
    std::vector<CLI::Option*> contents = {
        user,
        command->add_option("--channel", options->channels, "PATTERN=ACTION,... (may be given several times)")
            ->allow_extra_args(false),
        command->add_option("--rpc", options->methods, "Pattern of rpc methods (may be given several times)")
            ->allow_extra_args(false),
        command->add_option("--ttl", options->ttl, "How long it is good for: 90s, 10m, 1h, 7d")->capture_default_str(),
        command->add_option("--id,--jti", options->id, "Its name (jti), for single use"),
        command->add_option("--iss", options->issuer, "Who issues it (iss)"),
        command->add_option("--aud", options->audiences, "Whom it is for (aud; may be given several times)")
            ->allow_extra_args(false),
        command->add_option("--kid", options->key_name, "The name of the key (kid), as the JWK set has it"),
        command->add_option("--claims", options->claims, "More claims, as a JSON object"),
    };
    CLI::Option* look =
        command->add_flag("--inspect", options->inspect, "Show TOKEN, or the one on stdin; with --key also check it");
    for (CLI::Option* option : contents) look->excludes(option);
    command->add_option("token", options->token, "For --inspect")->type_name("TOKEN");
    command->callback([options] {
        if (options->inspect) {
            inspect(*options);
        } else if (!options->token.empty()) {
            throw UsageError("ticket: TOKEN is for --inspect");
        } else {
            issue(*options);
        }
    });
}

}  // namespace weft

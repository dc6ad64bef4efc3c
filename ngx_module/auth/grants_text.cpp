#include "auth/grants_text.hpp"

#include <simdjson.h>

#include "auth/claims.hpp"

namespace weft {

tl::expected<Grants, std::string> parse_grants(std::string_view json) {
    if (json.size() > kMaxGrantsText) {
        return tl::unexpected("the grants are longer than " + std::to_string(kMaxGrantsText) + " bytes");
    }
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
        return tl::unexpected(std::string("the grants are not a JSON object"));
    }
    for (const auto member : object) {
        if (member.key == "channels" || member.key == "rpc") continue;
        return tl::unexpected(std::string("the grants have a member other than \"channels\" and \"rpc\""));
    }
    // The claims of a ticket of nobody's, so that grants are read by one reader wherever they stand.
    std::string claims = R"({"sub":"-","exp":0)";
    const std::size_t begin = json.find('{') + 1;
    if (object.size() > 0) claims += ',';
    claims.append(json.substr(begin));
    auto parsed = parse_claims(claims);
    if (!parsed) return tl::unexpected(std::move(parsed.error().detail));
    return std::move(parsed->ticket.grants);
}

}  // namespace weft

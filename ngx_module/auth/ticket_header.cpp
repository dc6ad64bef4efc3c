#include "auth/ticket_header.hpp"

#include <simdjson.h>

#include <vector>

namespace weft {

namespace {

using Kind = TicketError::Kind;

tl::unexpected<TicketError> refuse(Kind kind, std::string detail) {
    return tl::unexpected(TicketError{kind, std::move(detail)});
}

}  // namespace

tl::expected<TicketHeader, TicketError> parse_ticket_header(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(json.data(), json.size()).get(object) != simdjson::SUCCESS) {
        return refuse(Kind::malformed, "the header is not a JSON object");
    }
    TicketHeader header;
    bool has_algorithm = false;
    std::vector<std::string_view> seen;
    constexpr std::size_t kMaxMembers = 32;  // comparing each with each must stay cheap
    for (auto [name, value] : object) {
        if (seen.size() == kMaxMembers) return refuse(Kind::malformed, "the header has more than 32 members");
        for (std::string_view other : seen) {
            if (other == name) return refuse(Kind::malformed, "the header gives a member twice");
        }
        seen.push_back(name);
        if (name == "crit") return refuse(Kind::malformed, "the header has crit: no extension is supported");
        std::string_view text;
        if (name == "alg") {
            if (value.get(text) != simdjson::SUCCESS) return refuse(Kind::malformed, "alg is not a string");
            header.algorithm = text;
            has_algorithm = true;
        } else if (name == "kid") {
            if (value.get(text) != simdjson::SUCCESS) return refuse(Kind::malformed, "kid is not a string");
            header.key = text;
        }
    }
    if (!has_algorithm) return refuse(Kind::algorithm, "the header has no alg");
    return header;
}

}  // namespace weft

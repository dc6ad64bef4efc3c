// weft.v1.json (PROTOCOL).
#include <chrono>
#include <fstream>
#include <iterator>

#include "auth/ticket.hpp"
#include "client_frames.hpp"
#include "dialect.hpp"

namespace weft::bench {
namespace {

using namespace std::string_view_literals;

class WeftDialect final : public Dialect {
public:
    WeftDialect(std::string path, std::string ticket, Framing listening, bool raw)
        : path_(std::move(path)), ticket_(std::move(ticket)), listening_(listening), raw_(raw) {}

    [[nodiscard]] Framing framing(Role role) const override {
        return role == Role::subscriber ? listening_ : Framing::websocket;
    }

    [[nodiscard]] Request request(Role role, std::uint32_t channel) const override {
        if (framing(role) != Framing::websocket) {
            const std::string door = framing(role) == Framing::events ? "/sse" : "/poll";
            return {door + "?channel=" + channel_name(channel), "Authorization: Bearer " + ticket_ + "\r\n"};
        }
        if (raw_ && role == Role::subscriber)
            return {"/raw?channel=" + channel_name(channel), "Authorization: Bearer " + ticket_ + "\r\n"};
        return {path_, "Sec-WebSocket-Protocol: weft.v1.json\r\nAuthorization: Bearer " + ticket_ + "\r\n"};
    }

    [[nodiscard]] Request again(std::uint32_t channel, std::string_view head) const override {
        Request next = request(Role::subscriber, channel);
        next.target.append("&position=").append(header_value(head, "Weft-Position"));
        return next;
    }

    // A raw subscriber is told nothing; whether it hears is what probes find out.
    Step on_open(Role role, std::uint32_t, std::string&) const override {
        return raw_ && role == Role::subscriber ? Step::ready : Step::wait;
    }

    Step on_message(Role role, std::uint32_t channel, std::string_view message, std::string& out) const override {
        if (is(message, "connection_established"sv)) {
            if (role == Role::publisher) return Step::ready;
            if (listening_ != Framing::websocket) return Step::wait;
            append_client_frame(
                out, Opcode::text,
                R"({"type":"subscribe","id":"s","payload":{"channel":")" + channel_name(channel) + R"("}})");
            return Step::wait;
        }
        if (is(message, "subscribed"sv)) return Step::ready;
        return is(message, "error"sv) ? Step::failed : Step::wait;
    }

    bool on_aside(std::string_view message, std::string&) const override {
        return !is(message, "error"sv) && !is(message, "gap"sv);
    }

    void append_publication(std::string& out, std::uint32_t channel, std::string_view payload) const override {
        // Kept between calls, since this runs once a publication.
        thread_local std::string text;
        text.assign(R"({"type":"publish","payload":{"channel":")").append(channel_name(channel));
        text.append(R"(","data":")").append(payload).append(R"("}})");
        append_client_frame(out, Opcode::text, text);
    }

private:
    // The type comes first or last, with or without blanks; it stands in quotes behind a "type" member either way.
    static bool is(std::string_view message, std::string_view type) {
        const auto at = message.find("\"type\"");
        if (at == std::string_view::npos) return false;
        const auto start = message.find('"', at + 6);
        return start != std::string_view::npos && message.substr(start + 1, type.size()) == type &&
               message.substr(start + 1 + type.size(), 1) == "\"";
    }

    std::string path_;
    std::string ticket_;
    Framing listening_;
    bool raw_;
};

tl::expected<std::string, std::string> mint(const std::string& key_file) {
    std::ifstream file(key_file, std::ios::binary);
    if (!file) return tl::unexpected("cannot read the key file " + key_file);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    const auto key = read_key(content);
    if (!key) return tl::unexpected(key.error());
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    return sign_ticket(R"({"sub":"bench","iat":)" + std::to_string(now) + R"(,"exp":)" + std::to_string(now + 86400) +
                           R"(,"channels":{"**":["subscribe","publish"]}})",
                       *key);
}

}  // namespace

tl::expected<std::unique_ptr<Dialect>, std::string> make_weft_dialect(const DialectOptions& options) {
    std::string ticket = options.ticket;
    if (ticket.empty() && !options.key_file.empty()) {
        auto minted = mint(options.key_file);
        if (!minted) return tl::unexpected(minted.error());
        ticket = std::move(*minted);
    }
    if (ticket.empty()) return tl::unexpected(std::string("the weft dialect needs --ticket-key or --ticket"));
    return std::make_unique<WeftDialect>(options.path.empty() ? "/ws" : options.path, std::move(ticket),
                                         subscriber_framing(options), options.raw);
}

}  // namespace weft::bench

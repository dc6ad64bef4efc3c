// How one kind of server is spoken to, so that the same scenario runs against all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weft::bench {

enum class Role : std::uint8_t { subscriber, publisher };

/// What a connection's answer consists of: WebSocket's frames, server-sent events behind an ordinary head, or nothing
/// but an answer, behind which the client asks again.
enum class Framing : std::uint8_t { websocket, events, poll };

/// What the opening request says beyond what its framing asks for.
struct Request {
    std::string target;   // "/ws"
    std::string headers;  // whole lines, each ended by CRLF
};

/// One dialect object serves all connections and keeps no state of any: the messages themselves tell how far a
/// conversation is.
class Dialect {
public:
    enum class Step { wait, ready, failed };

    virtual ~Dialect() = default;

    [[nodiscard]] virtual Request request(Role role, std::uint32_t channel) const = 0;
    [[nodiscard]] virtual Framing framing(Role role) const;

    /// Polls: what to ask behind an answer.
    [[nodiscard]] virtual Request again(std::uint32_t channel, std::string_view head) const;
    /// Polls: whether a client is in its channel as soon as it has asked, or when the first answer has come.
    [[nodiscard]] virtual bool ready_when_asked() const { return false; }

    /// The answer's head has come. Appends frames to send to `out`; `ready` when nothing more needs to be said.
    virtual Step on_open(Role role, std::uint32_t channel, std::string& out) const;

    /// A data message before `ready`.
    virtual Step on_message(Role role, std::uint32_t channel, std::string_view message, std::string& out) const;

    /// A data message without a stamp after `ready`: an acknowledgement, or a heartbeat to answer. False: an error.
    virtual bool on_aside(std::string_view message, std::string& out) const;

    /// Appends the frame that publishes `payload` (printable ASCII without quotes and backslashes) to `channel`.
    virtual void append_publication(std::string& out, std::uint32_t channel, std::string_view payload) const = 0;

    /// Whether a publisher's connection is bound to one channel, so that every channel needs one.
    [[nodiscard]] virtual bool publisher_per_channel() const { return false; }
};

/// The value of a header of an answer's head; `name` as the server writes it. Empty: there is none.
std::string_view header_value(std::string_view head, std::string_view name) noexcept;

/// "bench:7"
std::string channel_name(std::uint32_t channel);

struct DialectOptions {
    std::string name;      // weft, nchan, ws, socketio
    std::string path;      // where it differs from the dialect's own: /ws
    std::string ticket;    // weft: a ready ticket …
    std::string key_file;  // … or the key to sign one with
    bool sse = false;      // weft, nchan: subscribers listen by server-sent events …
    bool poll = false;     // … or ask again and again
    bool raw = false;  // weft: subscribers get the data alone (weft.v1.raw), as from a server that knows no envelope
};

/// How subscribers listen.
inline Framing subscriber_framing(const DialectOptions& options) noexcept {
    if (options.poll) return Framing::poll;
    return options.sse ? Framing::events : Framing::websocket;
}

/// The error is a sentence.
tl::expected<std::unique_ptr<Dialect>, std::string> make_dialect(const DialectOptions& options);

// The dialects, each in a file of its own.
tl::expected<std::unique_ptr<Dialect>, std::string> make_weft_dialect(const DialectOptions& options);
std::unique_ptr<Dialect> make_nchan_dialect(const DialectOptions& options);
std::unique_ptr<Dialect> make_ws_dialect(const DialectOptions& options);
std::unique_ptr<Dialect> make_socketio_dialect();

}  // namespace weft::bench

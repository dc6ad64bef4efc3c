// What a line of weft_log consists of.
//
// A line is written when the connection ends, and by then its HTTP request is long gone. So what nginx's own variables
// said is kept from the request (KeptText), and only what can't be known before is looked up at the end.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/log_escape.hpp"
#include "gateway/tally.hpp"
#include "ngx/ngx.hpp"

namespace weft {

/// What is known of a connection when it has ended.
struct ConnectionEnd {
    enum class By : std::uint8_t { nobody, client, server };  // nobody: it broke
    static constexpr std::uint16_t kBroken = 1006;            // the code of that, RFC 6455 §7.1.5

    std::string_view user;  // empty: none, or it was refused
    std::uint64_t client_id;
    std::uint16_t close_code;
    By closed_by;
    std::chrono::milliseconds duration;
    const Tally& tally;
};

/// Values of a request's variables, escaped already, one behind the other.
class KeptText {
public:
    static constexpr std::size_t kMax = std::size_t{8} * 1024;       // bytes of all values; what is more is cut
    static constexpr std::size_t kMaxValue = std::size_t{4} * 1024;  // bytes of one value

    void add(const ngx_http_variable_value_t* value, LogEscape escape);
    void add_flag(bool flag) { bytes_ += flag ? '\1' : '\0'; }
    [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }

    /// Gives them back in the order in which they were added.
    class Reader {
    public:
        explicit Reader(std::string_view bytes) noexcept : rest_(bytes) {}
        std::string_view next() noexcept;
        bool next_flag() noexcept;

    private:
        std::string_view rest_;
    };

private:
    std::string bytes_;
    std::size_t room_ = kMax;
};

class LogFormat {
public:
    explicit LogFormat(LogEscape escape) noexcept : escape_(escape) {}

    /// Adds a text with variables, as $name or ${name}. False after logging what is wrong with it; `directive` is what
    /// the message names.
    bool add(ngx_conf_t* cf, const ngx_str_t& text, const char* directive);

    /// The texts that were added.
    [[nodiscard]] const std::string& said() const noexcept { return said_; }
    /// Whether a line can't be written before the connection has ended.
    [[nodiscard]] bool needs_end() const noexcept { return needs_end_; }

    /// Adds to `kept` what a line needs of the request.
    void keep(ngx_http_request_t* request, KeptText& kept) const;
    /// Appends the line, without line break. `kept` gives what keep() has added. Without `end`, which then isn't
    /// needed, what is known at the end only is left out.
    void write(std::string& line, KeptText::Reader& kept, const ConnectionEnd* end) const;

private:
    enum class End : std::uint8_t {
        user,
        client_id,
        close_code,
        closed_by,
        duration,
        messages_in,
        messages_out,
        bytes_in,
        bytes_out,
        time_local,
        time_iso8601,
        msec,
    };
    struct EndName {
        std::string_view name;
        End value;
    };
    struct Piece {
        enum class Kind : std::uint8_t { literal, kept, end };
        Kind kind;
        End end{};              // of an `end`
        ngx_uint_t index = 0;   // of a `kept` variable
        std::string literal{};  // of a `literal`
    };
    static const EndName kEndNames[];

    bool add_variable(ngx_conf_t* cf, ngx_str_t name);
    void write_end(std::string& line, End value, const ConnectionEnd& end) const;

    std::vector<Piece> pieces_;
    std::string said_;
    LogEscape escape_;
    bool needs_end_ = false;
};

struct NamedLogFormat {
    std::string name;
    LogFormat format;
};

/// Those of an http block; they keep their addresses.
using LogFormats = std::deque<NamedLogFormat>;

/// The one that is there without being defined.
inline constexpr std::string_view kDefaultLogFormat = "weft";

/// Null when there is none of this name, or after logging what is wrong.
const LogFormat* find_log_format(ngx_conf_t* cf, LogFormats& formats, std::string_view name);

}  // namespace weft

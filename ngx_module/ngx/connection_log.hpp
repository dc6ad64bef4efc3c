// weft_log: one line for each connection, written at its end.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "ngx/log_format.hpp"
#include "ngx/log_sink.hpp"
#include "weft/v1/move.pb.h"

namespace weft {

/// One weft_log directive.
struct ConnectionLog {
    LogSink sink;
    const LogFormat* format;             // of MainSettings
    std::optional<LogFormat> condition;  // no line when it gives "" or "0"
};

/// Those of a location; none of them after "off".
using ConnectionLogs = std::vector<ConnectionLog>;

/// What a connection that will be logged keeps for that: its counts, and behind them, in the same block of memory, what
/// the request said. A connection that won't be has none.
class ConnectionRecord final : public Tally {
public:
    /// Looks at the request, as long as it is there. Null when there is nothing to log. `logs` must outlive the record.
    static std::unique_ptr<ConnectionRecord> keep(ngx_http_request_t* request, ConnectionLogs& logs, Instant now);

    static void operator delete(void* block) noexcept { ::operator delete(block); }

    /// For another process with the same logs, and from there.
    void pack(v1::MovedTally& tally) const;
    static std::unique_ptr<ConnectionRecord> unpack(const v1::MovedTally& tally, ConnectionLogs& logs);

    /// Writes the lines, whose counts come from this record.
    void write(Instant now, std::string_view user, std::uint64_t client_id, std::uint16_t close_code,
               ConnectionEnd::By closed_by) noexcept;

private:
    ConnectionRecord(ConnectionLogs& logs, std::string_view text, Instant now) noexcept;
    static void* operator new(std::size_t size, std::size_t text) { return ::operator new(size + text); }
    static void operator delete(void* block, std::size_t) noexcept { ::operator delete(block); }  // of that new

    ConnectionLogs& logs_;
    std::size_t size_;  // bytes of text behind this
};

// Of directives.cpp's table.
char* set_log(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;
char* set_log_format(ngx_conf_t* cf, ngx_command_t* command, void* conf) noexcept;

}  // namespace weft

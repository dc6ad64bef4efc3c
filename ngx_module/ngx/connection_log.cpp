#include "ngx/connection_log.hpp"

#include <cstring>

namespace weft {

namespace {

/// Whether a condition's text lets a line be written.
bool holds(std::string_view text) noexcept {
    return !text.empty() && text != "0";
}

}  // namespace

ConnectionRecord::ConnectionRecord(ConnectionLogs& logs, std::string_view text, Instant now) noexcept
    : logs_(logs), size_(text.size()) {
    opened = now;
    std::memcpy(reinterpret_cast<char*>(this + 1), text.data(), text.size());
}

std::unique_ptr<ConnectionRecord> ConnectionRecord::keep(ngx_http_request_t* request, ConnectionLogs& logs,
                                                         Instant now) {
    KeptText kept;  // for each log whether it gets a line, and if so what its condition and its format need
    bool any = false;
    for (const ConnectionLog& log : logs) {
        bool wanted = true;
        if (log.condition && !log.condition->needs_end()) {
            KeptText values;
            log.condition->keep(request, values);
            KeptText::Reader reader(values.bytes());
            std::string text;
            log.condition->write(text, reader, nullptr);
            wanted = holds(text);
        }
        kept.add_flag(wanted);
        if (!wanted) continue;
        any = true;
        if (log.condition && log.condition->needs_end()) log.condition->keep(request, kept);
        log.format->keep(request, kept);
    }
    if (!any) return nullptr;
    const std::string_view text = kept.bytes();
    return std::unique_ptr<ConnectionRecord>(new (text.size()) ConnectionRecord(logs, text, now));
}

void ConnectionRecord::pack(v1::MovedTally& tally) const {
    tally.set_opened_ms(opened.time_since_epoch().count());
    tally.set_messages_in(messages_in);
    tally.set_messages_out(messages_out);
    tally.set_bytes_in(bytes_in);
    tally.set_bytes_out(bytes_out);
    tally.set_text(reinterpret_cast<const char*>(this + 1), size_);
}

std::unique_ptr<ConnectionRecord> ConnectionRecord::unpack(const v1::MovedTally& tally, ConnectionLogs& logs) {
    const Instant since{std::chrono::milliseconds(tally.opened_ms())};
    std::unique_ptr<ConnectionRecord> record(new (tally.text().size()) ConnectionRecord(logs, tally.text(), since));
    record->messages_in = tally.messages_in();
    record->messages_out = tally.messages_out();
    record->bytes_in = tally.bytes_in();
    record->bytes_out = tally.bytes_out();
    return record;
}

void ConnectionRecord::write(Instant now, std::string_view user, std::uint64_t client_id, std::uint16_t close_code,
                             ConnectionEnd::By closed_by) noexcept {
    try {
        const ConnectionEnd end{user, client_id, close_code, closed_by, std::max(now - opened, {}), *this};
        KeptText::Reader kept({reinterpret_cast<const char*>(this + 1), size_});
        std::string line;
        for (ConnectionLog& log : logs_) {
            if (!kept.next_flag()) continue;
            bool wanted = true;
            if (log.condition && log.condition->needs_end()) {
                line.clear();
                log.condition->write(line, kept, &end);
                wanted = holds(line);
            }
            line.clear();
            log.format->write(line, kept, &end);  // read in any case: the next log's texts follow
            if (wanted) log.sink.write(line);
        }
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "weft: a connection's end can't be logged: %s", error.what());
    }
}

}  // namespace weft

// The host's end of a connection: what carries its bytes, and what nginx has to know of it until it ends.
#pragma once

#include <memory>
#include <string_view>
#include <tl/expected.hpp>

#include "gateway/connection.hpp"
#include "limit/connection_counts.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/ngx.hpp"

namespace weft {

class Socket;
class Worker;

/// Every Connection of a worker has one, see Connection::carrier().
class Carrier {
public:
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;

    [[nodiscard]] virtual Connection& client() noexcept = 0;

    /// Writes what is queued, and acts on the connection's phase. May destroy this.
    virtual void flush() = 0;
    /// Reads on after a pause.
    virtual void read_on() noexcept = 0;

    /// This, where it has a socket of its own; else null.
    [[nodiscard]] virtual Socket* socket() noexcept { return nullptr; }

    /// See Gateway::Host::identify().
    tl::expected<std::shared_ptr<const Identity>, event::Error> identify(std::string_view token);

    /// Where Admission::admit() counts this connection, until it is destroyed.
    [[nodiscard]] ConnectionCounts::Hold& hold() noexcept { return hold_; }

    /// Has this connection logged when it ends. Null: it isn't.
    void keep_record(std::unique_ptr<ConnectionRecord> record) noexcept { client().keep_tally(std::move(record)); }
    /// Writes its log lines, if it has any and they aren't written yet.
    void log_end() noexcept;

protected:
    explicit Carrier(Worker& worker) noexcept : worker_(worker) {}
    ~Carrier();

    Worker& worker_;
    ngx_connection_t* connection_ = nullptr;

private:
    ConnectionCounts::Hold hold_;
};

}  // namespace weft

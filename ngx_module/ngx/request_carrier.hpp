// Carries a Connection in a request that stays: where the socket is shared with others (HTTP/2 and later), or is to be
// used again after a short answer (a poll).
#pragma once

#include <memory>
#include <string_view>

#include "gateway/poll_connection.hpp"
#include "gateway/stream_connection.hpp"
#include "ngx/carrier.hpp"
#include "ngx/worker.hpp"

namespace weft {

/// Lives until its request is freed.
class RequestCarrier : public Carrier {
public:
    virtual ~RequestCarrier() = default;
    RequestCarrier(Worker& worker, ngx_http_request_t* request) noexcept : Carrier(worker), request_(request) {
        connection_ = request->connection;
    }

    /// Has `carrier` serve its request from here on: what a content handler returns. `decided`: as Gateway::open().
    static ngx_int_t hold(std::unique_ptr<RequestCarrier> carrier, std::shared_ptr<const Identity> identity,
                          std::uint64_t decided);

    void read_on() noexcept override {}
    /// Whether its request was answered: its end is under way.
    [[nodiscard]] bool answered() const noexcept { return answered_; }

protected:
    /// Ends the request, and with it perhaps this. `result` as for ngx_http_finalize_request().
    void finish(ngx_int_t result) noexcept;

    ngx_http_request_t* request_;

private:
    virtual void on_writable() noexcept = 0;
    /// The request is being freed.
    void leave() noexcept;

    friend class Worker;

    std::size_t seat_ = 0;  // among the worker's requests
    bool answered_ = false;
};

/// A stream within HTTP/2 or HTTP/3: what is queued goes through nginx's output filters.
class StreamRequest final : public StreamConnection, public RequestCarrier {
public:
    StreamRequest(Worker& worker, ngx_http_request_t* request, const EndpointSettings& endpoint, StreamWire& wire,
                  std::unique_ptr<ChannelPositions> positions)
        : StreamConnection(worker.gateway(), endpoint, wire, std::move(positions)), RequestCarrier(worker, request) {}

    [[nodiscard]] Connection& client() noexcept override { return *this; }
    [[nodiscard]] Carrier* carrier() noexcept override { return this; }
    void flush() override;

private:
    static constexpr std::size_t kBuffer = std::size_t{16} * 1024;  // bytes on their way to nginx's filters

    bool write_queue();
    /// Whether nginx has taken what it was given.
    [[nodiscard]] bool idle() const noexcept { return buf_.pos == buf_.last; }
    void on_writable() noexcept override;

    std::unique_ptr<char[]> buffer_;  // while it is in use
    ngx_buf_t buf_{};
};

/// A poll: one answer, when there is something to say.
class PollRequest final : public PollConnection, public RequestCarrier {
public:
    PollRequest(Worker& worker, ngx_http_request_t* request, const EndpointSettings& endpoint, StreamWire& wire,
                Terms terms)
        : PollConnection(worker.gateway(), endpoint, wire, std::move(terms)), RequestCarrier(worker, request) {}

    [[nodiscard]] Connection& client() noexcept override { return *this; }
    [[nodiscard]] Carrier* carrier() noexcept override { return this; }
    void flush() override;

private:
    void on_writable() noexcept override {}
};

}  // namespace weft

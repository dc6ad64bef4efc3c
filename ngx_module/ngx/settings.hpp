// What nginx.conf says, as values.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/origin.hpp"
#include "auth/ticket.hpp"
#include "gateway/channel_rules.hpp"
#include "gateway/connection.hpp"
#include "gateway/stream_wire.hpp"
#include "ngx/admission.hpp"
#include "ngx/connection_log.hpp"
#include "ngx/credentials.hpp"
#include "ngx/limit_directives.hpp"
#include "ngx/ngx.hpp"

namespace weft {

struct LocationSettings;

/// http { … } as a whole.
struct MainSettings {
    std::string sidecar;        // empty until merged: kDefaultSidecar
    std::size_t zone_size = 0;  // bytes; 0 until merged
    ngx_shm_zone_t* zone = nullptr;
    bool tickets_once = false;              // some weft_ticket says `once`
    std::size_t ticket_zone_size = 0;       // bytes; 0 until merged: as zone_size
    ngx_shm_zone_t* ticket_zone = nullptr;  // null unless tickets_once
    ChannelRules rules;
    std::uint64_t generation = 0;  // of this nginx.conf: later ones have higher numbers
    std::optional<ngx_msec_t> drain;
    std::optional<std::size_t> send_memory;  // bytes, of each worker
    std::optional<unsigned> json_depth;
    std::optional<std::string> rooms_prefix;
    CountedKinds counted;
    LogFormats log_formats;
    bool used = false;         // some location does something with Weft
    std::optional<bool> move;  // weft_reload: connections move to the workers that come (the default), or are drained
    std::string rendezvous;    // the directory in which workers find each other; empty: connections don't move
    // Where clients connect, by what the next nginx.conf calls them, too; null where two are called the same.
    std::unordered_map<std::string, const LocationSettings*> locations;

    static constexpr const char* kDefaultSidecar = "ipc:///run/weft/weftd.sock";
    static constexpr std::size_t kDefaultZone = std::size_t{1024} * 1024;
    static constexpr ngx_msec_t kDefaultDrain = 10'000;
};

/// A location, with what it inherits.
struct LocationSettings {
    std::shared_ptr<const TicketVerifier> tickets;
    std::shared_ptr<const OriginPolicy> origins;
    CredentialSettings credentials;
    LimitSettings limits;
    std::optional<ngx_msec_t> heartbeat;
    std::optional<ngx_msec_t> heartbeat_timeout;
    std::optional<std::size_t> message_size;
    std::optional<std::size_t> send_queue;
    std::optional<CompressionSettings> compression;
    std::string protocol;  // the subprotocol that is spoken with those who ask for none; empty: the first codec's
    std::optional<ConnectionLimits> connections;
    std::shared_ptr<ConnectionLogs> logs;  // null: not said here

    EndpointSettings endpoint;  // of the above, merged
    ngx_http_complex_value_t* publish_channel = nullptr;
    bool publish_needs_ticket = false;

    bool api = false;          // weft_api
    std::string connect_name;  // of the directive that lets clients connect here, weft_websocket and the like
    std::string connect_at;    // its "file:line"; empty: there is none
    std::optional<StreamWire::Kind> stream;           // of weft_sse, weft_stream or weft_poll
    std::optional<ngx_msec_t> hold;                   // of weft_poll
    std::vector<ngx_http_complex_value_t*> entrance;  // weft_subscribe; in the configuration's memory
    std::optional<bool> publish_raw;
    std::string name;          // in MainSettings::locations; empty: none
    std::string origins_said;  // weft_origin's words

    /// A hash of what a connection was let in by once and for all, and of what was kept for its log lines.
    [[nodiscard]] std::uint64_t terms() const;

    /// Whether requests here may bring credentials.
    [[nodiscard]] bool takes_credentials() const noexcept {
        return !connect_at.empty() || publish_channel != nullptr || api;
    }

    static constexpr ngx_msec_t kDefaultHold = 25'000;
    static constexpr std::size_t kMaxLogs = 16;  // weft_log lines in one block
};

/// Settings of the http block; null when there is none.
MainSettings* main_settings(ngx_cycle_t* cycle) noexcept;
LocationSettings& location_settings(ngx_http_request_t* request) noexcept;

// Content handlers, each in a file of its own.
ngx_int_t handle_upgrade(ngx_http_request_t* request) noexcept;
ngx_int_t handle_sse(ngx_http_request_t* request) noexcept;
ngx_int_t handle_stream(ngx_http_request_t* request) noexcept;
ngx_int_t handle_poll(ngx_http_request_t* request) noexcept;
ngx_int_t handle_publish(ngx_http_request_t* request) noexcept;
ngx_int_t handle_api(ngx_http_request_t* request) noexcept;
ngx_int_t handle_status(ngx_http_request_t* request) noexcept;

}  // namespace weft

// Who may speak on the mesh: answers ZeroMQ's question about each key that comes (ZAP, ZeroMQ RFC 27), and reads the
// list of the allowed ones again when its file changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "config.hpp"
#include "io/log.hpp"
#include "peer_keys.hpp"

namespace weft {

/// One a ZeroMQ context, for all sockets of it that listen with CURVE. It answers in a thread of its own, so all its
/// functions but write_news() can be called from any thread.
class ZapHandler {
public:
    static constexpr std::chrono::milliseconds kLook{1000};  // between looks at the file
    static constexpr std::size_t kMaxNews = 64;              // that wait for write_news(); more are counted only

    /// Reads both files, and answers from here on. Make it before the sockets, and let it outlive them: ZeroMQ lets
    /// everybody in when nobody answers. Throws StartError.
    ZapHandler(zmq::context_t& context, const Config::Mesh::Curve& files);
    ~ZapHandler();
    ZapHandler(const ZapHandler&) = delete;
    ZapHandler& operator=(const ZapHandler&) = delete;

    /// Gives this node's key to a socket, before it is bound or connected.
    void protect_listening(zmq::socket_t& socket) const;
    void protect_dialing(zmq::socket_t& socket, const std::string& server_key) const;

    [[nodiscard]] const std::string& public_key() const noexcept { return public_key_; }
    [[nodiscard]] std::shared_ptr<const PeerKeys> keys() const;
    /// Another number each time that other keys hold.
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

    /// Why node `node` may not use `key` (as ZeroMQ gives it: the User-Id of its messages); empty when it may.
    [[nodiscard]] std::string judge(std::string_view key, std::string_view node) const;

    /// Look at the file now, for SIGHUP.
    void read_again() noexcept { look_now_ = true; }
    /// Logs what happened since the last call: who was refused, what the file said. A few times a second.
    void write_news(Log& log, Instant now);

private:
    struct News {
        bool refused = false;  // else of the file
        std::string key, address;
        std::string why;  // empty: the file was read
        std::size_t keys = 0;
    };
    void serve(zmq::socket_t questions);
    void answer(zmq::socket_t& questions);
    bool admits(std::string_view key, std::string_view address);
    void look_at_file(bool always);
    void tell(News news);
    [[nodiscard]] std::string stamp() const;

    std::string file_;
    std::string secret_key_, public_key_;
    mutable std::mutex mutex_;  // of what follows
    std::shared_ptr<const PeerKeys> keys_;
    std::vector<News> news_;
    std::uint64_t untold_ = 0;

    std::atomic<std::uint64_t> generation_{1};
    std::atomic<bool> look_now_{false};
    std::atomic<bool> stopping_{false};
    std::string stamp_;  // of the file as it was read last: by the thread alone
    std::thread thread_;
};

}  // namespace weft

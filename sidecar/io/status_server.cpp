#include "io/status_server.hpp"

#include <httplib.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "io/start_error.hpp"
#include "status_pages.hpp"

namespace weft {

namespace {

// The event loop's own clock reading is part of what is judged, so this thread takes one of its own.
Instant clock_now() {
    return std::chrono::time_point_cast<Instant::duration>(std::chrono::steady_clock::now());
}

/// httplib's own queues without bound, and each that waits holds a descriptor. A task can't be refused: it alone knows
/// its socket, which nobody else would close. So what is too much is not accepted, and the kernel turns it away.
class BoundedPool final : public httplib::ThreadPool {
public:
    BoundedPool(std::size_t threads, std::size_t waiting) : ThreadPool(threads), room_(threads + waiting) {}

    void enqueue(std::function<void()> task) override {
        {
            std::unique_lock lock(mutex_);
            freed_.wait(lock, [this] { return room_ > 0; });
            --room_;
        }
        ThreadPool::enqueue([this, task = std::move(task)] {
            task();
            const std::scoped_lock lock(mutex_);
            ++room_;
            freed_.notify_one();
        });
    }

private:
    std::mutex mutex_;
    std::condition_variable freed_;
    std::size_t room_;  // guarded by mutex_
};

}  // namespace

struct StatusServer::State {
    httplib::Server server;
    std::mutex mutex;
    NodeStatus status;  // guarded by mutex
    std::thread thread;

    NodeStatus copy() {
        const std::scoped_lock lock(mutex);
        return status;
    }
    void serve(const char* path, StatusPage (*page)(const NodeStatus&, Instant)) {
        server.Get(path, [this, page](const httplib::Request&, httplib::Response& response) {
            const StatusPage made = page(copy(), clock_now());
            response.status = made.good ? 200 : 503;
            response.set_content(made.text, "application/json");
        });
    }
};

StatusServer::StatusServer(const std::string& host, int port, NodeStatus first) : state_(std::make_unique<State>()) {
    httplib::Server& server = state_->server;
    server.new_task_queue = [] { return new BoundedPool(kThreads, kWaiting); };
    server.set_read_timeout(kTimeout);
    server.set_write_timeout(kTimeout);
    server.set_payload_max_length(1024);
    server.set_keep_alive_max_count(1);
    server.set_keep_alive_timeout(kTimeout);  // of the first request too
    // Its default shares the port with whoever else asks for it (SO_REUSEPORT), another weftd say.
    server.set_socket_options([](socket_t socket) {
        const int yes = 1;
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    state_->status = std::move(first);
    state_->serve("/healthz", health_page);
    state_->serve("/readyz", ready_page);
    server.Get("/metrics", [state = state_.get()](const httplib::Request&, httplib::Response& response) {
        response.set_content(metrics_page(state->copy(), clock_now()), "text/plain; version=0.0.4; charset=utf-8");
    });
    if (!server.bind_to_port(host.c_str(), port)) {
        throw StartError("can't listen on http " + host + ":" + std::to_string(port) + "; is another weftd running?");
    }
    state_->thread = std::thread([&server] { server.listen_after_bind(); });
    // stop() does nothing before the server runs.
    while (!server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

StatusServer::~StatusServer() {
    state_->server.stop();
    state_->thread.join();
}

void StatusServer::show(NodeStatus status) {
    const std::scoped_lock lock(state_->mutex);
    state_->status = std::move(status);
}

}  // namespace weft

#include "ngx/link.hpp"

#include <sched.h>

#include <algorithm>
#include <csignal>

#include "ngx/worker.hpp"
#include "weft/shard.hpp"

namespace weft {

namespace {

/// Signals are nginx's business; ZeroMQ's threads inherit the mask that is set while they are made.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

/// ZeroMQ's thread inherits this, too: under SCHED_BATCH (sched(7)) the kernel doesn't take the core away from a worker
/// as soon as it has handed something over, where both have one core. Another policy that an operator chose stays.
class BatchScheduled {
public:
    BatchScheduled() {
        const sched_param none{};
        changed_ = sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) == 0;
    }
    ~BatchScheduled() {
        const sched_param none{};
        if (changed_) sched_setscheduler(0, SCHED_OTHER, &none);
    }
    BatchScheduled(const BatchScheduled&) = delete;
    BatchScheduled& operator=(const BatchScheduled&) = delete;

private:
    bool changed_;
};

}  // namespace

Link::Link(std::string address, Gateway& gateway, ngx_cycle_t* cycle)
    : address_(std::move(address)), gateway_(gateway), cycle_(cycle), context_(1) {
    const SignalsBlocked blocked;
    const BatchScheduled batch;
    sockets_.push_back(std::make_unique<LinkSocket>(context_, address_, 0, *this, gateway_, cycle_));
}

std::unique_ptr<Link> Link::open(const std::string& address, Gateway& gateway, ngx_cycle_t* cycle) noexcept {
    try {
        return std::unique_ptr<Link>(new Link(address, gateway, cycle));
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "weft: can't open the link to weftd at %s: %s", address.c_str(),
                      error.what());
        return nullptr;
    }
}

Link::~Link() {
    for (unsigned shard = 0; shard < sockets_.size(); ++shard) {
        if (sockets_[shard] == nullptr || sockets_[shard]->life() != gateway_.link_life(shard)) continue;
        gateway_.link(shard).close(gateway_.now());
        sockets_[shard]->flush();
    }
}

std::unique_ptr<LinkSocket> Link::make_socket(unsigned shard) noexcept {
    const auto address = shard_address(address_, shard);
    try {
        if (!address) throw std::runtime_error("no address can be derived");
        return std::make_unique<LinkSocket>(context_, *address, shard, *this, gateway_, cycle_);
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, cycle_->log, 0, "weft: can't open the link to shard %ui of weftd at %s: %s",
                      static_cast<ngx_uint_t>(shard), address ? address->c_str() : address_.c_str(), error.what());
        return nullptr;
    }
}

/// Makes the sockets those of the gateway's links.
void Link::follow() {
    const std::size_t wanted = gateway_.links();
    if (sockets_.size() > wanted) sockets_.resize(wanted);
    for (unsigned shard = 1; shard < wanted; ++shard) {
        const bool known = shard < sockets_.size();
        if (known && sockets_[shard] != nullptr && sockets_[shard]->life() == gateway_.link_life(shard)) continue;
        if (known && sockets_[shard] == nullptr && gateway_.now() < retry_at_) continue;
        if (!known) sockets_.emplace_back();
        sockets_[shard].reset();
        sockets_[shard] = make_socket(shard);
        if (sockets_[shard] == nullptr) retry_at_ = gateway_.now() + kRetry;
    }
}

void Link::on_readable(LinkSocket& socket, const ngx_connection_t* connection) noexcept {
    try {
        gateway_.set_time(monotonic_now(), wall_now());
        socket.on_readable(connection);
        // The first shard alone has a say in how many there are; its own socket stays.
        if (&socket == sockets_.front().get()) follow();
        flush();
        gateway_.resume_paused();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: reading the link failed: %s", error.what());
    }
}

void Link::wait_up() noexcept {
    try {
        ngx_time_update();
        const Instant until = monotonic_now() + std::chrono::milliseconds(kFirstWait);
        std::vector<zmq::pollitem_t> items;
        while (ngx_terminate == 0 && ngx_quit == 0) {
            ngx_time_update();  // the event loop does it otherwise
            gateway_.set_time(monotonic_now(), wall_now());
            bool absent = false;
            bool waiting = false;
            items.clear();
            // By number: what the first has to say may bring others.
            for (unsigned shard = 0; shard < gateway_.links(); ++shard) {
                follow();
                LinkSocket* const socket = sockets_[shard].get();
                if (socket == nullptr) continue;
                socket->receive();
                socket->receive_monitor();
                const auto state = gateway_.link(shard).state();
                waiting |= state != LinkDialer::State::up && state != LinkDialer::State::refused;
                absent |= socket->absent();
                socket->add_to(items);
            }
            if (sockets_.size() > gateway_.links()) continue;  // fewer than before, says the first
            flush();
            if (absent || !waiting || gateway_.now() >= until) break;
            zmq::poll(items, until - gateway_.now());
        }
    } catch (const std::exception&) {
        // A signal, say. Going on without weftd is what a worker must be able to do anyway.
    }
    for (const auto& socket : sockets_) {
        if (socket != nullptr) socket->read_again();
    }
}

void Link::flush() noexcept {
    for (const auto& socket : sockets_) {
        if (socket != nullptr) socket->flush();
    }
}

}  // namespace weft

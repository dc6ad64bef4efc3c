#include "ngx/move_channel.hpp"

#include <stdexcept>
#include <utility>

#include "ngx/watched_fd.hpp"

namespace weft {

MoveChannel::MoveChannel(FdChannel channel, Events& events, ngx_cycle_t* cycle)
    : channel_(std::move(channel)), events_(events), cycle_(cycle) {
    connection_ = watch_fd(channel_.fd(), on_event, this, cycle_);
}

MoveChannel::~MoveChannel() {
    unwatch_fd(connection_);
}

bool MoveChannel::send(const v1::MoveFrame& frame, int fd) noexcept {
    if (ended_) return false;
    try {
        frame.SerializeToString(&bytes_);
        auto flow = channel_.send(bytes_, fd);
        const bool sent = flow.has_value();
        settle(std::move(flow));
        return sent;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ERR, cycle_->log, 0, "weft: %s", error.what());
        take_back();
        return false;
    }
}

void MoveChannel::settle(tl::expected<FdChannel::Flow, FdChannel::Error> flow) {
    if (!flow) {
        // What the other has said before counts: its end is told when that is read.
        ngx_log_error(NGX_LOG_WARN, cycle_->log, 0, "weft: connections can't be moved to another worker: %s",
                      flow.error().text.c_str());
        take_back();
        return;
    }
    ngx_event_t* const event = connection_->write;
    if (*flow == FdChannel::Flow::blocked) {
        if (!event->active) ngx_add_event(event, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
        return;
    }
    if (event->active) ngx_del_event(event, NGX_WRITE_EVENT, 0);
    if (*flow == FdChannel::Flow::again && !event->posted) {
        ngx_post_event(event, &ngx_posted_next_events);
    }
}

void MoveChannel::take_back() noexcept {
    if (ended_) return;
    channel_.refuse_more();
    if (!connection_->read->posted) {
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

void MoveChannel::on_event(ngx_event_t* event) noexcept {
    auto& channel = *static_cast<MoveChannel*>(static_cast<ngx_connection_t*>(event->data)->data);
    try {
        if (event->write != 0) {
            if (!channel.ended_) channel.settle(channel.channel_.flush());
        } else {
            channel.receive();
        }
    } catch (const std::exception& error) {
        channel.end(error.what());
    }
}

void MoveChannel::receive() {
    if (ended_) return;
    const auto reading = channel_.receive(kMessagesATurn, [this](FdChannel::Message message) {
        if (ended_) return;
        v1::MoveFrame frame;
        if (!frame.ParseFromArray(message.text.data(), static_cast<int>(message.text.size()))) {
            return end("it says what can't be read");
        }
        events_.on_frame(*this, frame, std::move(message.fd));
    });
    if (ended_) return;
    if (!reading) return end(reading.error().text);
    if (*reading == FdChannel::Reading::ended) return end("it has gone");
    if (*reading == FdChannel::Reading::more && !connection_->read->posted) {
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

void MoveChannel::end(std::string_view why) noexcept {
    if (std::exchange(ended_, true)) return;
    unwatch_fd(connection_);
    events_.on_end(*this, why);
}

}  // namespace weft

// Encodes frames into one buffer that is used again and again, and hands them to the outbox.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "broker/broker.hpp"
#include "weft/frame_wire.hpp"

namespace weft {

class Sender {
public:
    explicit Sender(Broker::Outbox& outbox) : outbox_(outbox) {}

    /// Valid until the next encode() or send().
    std::string_view encode(const v1::Frame& frame) {
        weft::encode(frame, buffer_);
        return buffer_;
    }

    void send(LinkId link, const v1::Frame& frame) { outbox_.send(link, encode(frame)); }

    /// For a frame that is encoded already.
    void send_encoded(LinkId link, std::string_view frame) { outbox_.send(link, frame); }

    /// Encodes once, whatever the number of links.
    void send(std::span<const LinkId> links, const v1::Frame& frame) {
        if (links.empty()) return;
        const std::string_view bytes = encode(frame);
        for (const LinkId link : links) outbox_.send(link, bytes);
    }

    /// The same for a frame that gives way: links that are busy don't get it. Returns how many these are.
    std::size_t send_unless_busy(std::span<const LinkId> links, const v1::Frame& frame) {
        if (links.empty()) return 0;
        const std::string_view bytes = encode(frame);
        std::size_t busy = 0;
        for (const LinkId link : links) {
            if (outbox_.busy(link)) {
                ++busy;
            } else {
                outbox_.send(link, bytes);
            }
        }
        return busy;
    }

private:
    Broker::Outbox& outbox_;
    std::string buffer_;
};

}  // namespace weft

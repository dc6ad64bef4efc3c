// How a worker is told that what it asked for did not succeed.
#pragma once

#include "call/hook.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

inline CallError unavailable(std::string message) {
    return {static_cast<std::uint16_t>(Code::unavailable), std::move(message), std::chrono::milliseconds(1'000)};
}

inline v1::Frame failed_frame(std::uint64_t request, const CallError& error) {
    v1::Frame frame;
    v1::Failed& failed = *frame.mutable_failed();
    failed.set_request(request);
    failed.set_code(error.code);
    failed.set_message(error.message);
    failed.set_retry_after_ms(static_cast<std::uint32_t>(error.retry_after.count()));
    return frame;
}

}  // namespace weft

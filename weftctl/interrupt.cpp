#include "interrupt.hpp"

namespace weft {

namespace {

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

const volatile std::sig_atomic_t& catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return interrupted;
}

}  // namespace weft

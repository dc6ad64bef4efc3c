// The end of commands that go on until somebody has seen enough.
#pragma once

#include <csignal>

namespace weft {

/// Has SIGINT and SIGTERM set what it returns, rather than end the process.
const volatile std::sig_atomic_t& catch_interrupts();

}  // namespace weft

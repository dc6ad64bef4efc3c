#include "weft/quiet_protobuf.hpp"

#include <google/protobuf/stubs/common.h>

#if GOOGLE_PROTOBUF_VERSION < 4022000  // later ones write with Abseil
#include <google/protobuf/stubs/logging.h>
#endif

namespace weft {

void silence_protobuf() noexcept {
#if GOOGLE_PROTOBUF_VERSION < 4022000
    google::protobuf::SetLogHandler(nullptr);
#endif
}

}  // namespace weft

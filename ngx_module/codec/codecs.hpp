// The codecs that there are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codec/codec.hpp"

namespace weft {

struct CodecSettings {
    unsigned max_depth = kMaxDepth;      // nesting of JSON; kMaxDepth or less
    std::string rooms_prefix = "room:";  // of channels that are rooms
};

/// One of each; the first is spoken with those who ask for none. A new codec is named here, and nowhere else.
std::vector<std::unique_ptr<Codec>> make_codecs(const CodecSettings& settings);

}  // namespace weft

#include "codec/codecs.hpp"

#include "codec/json_codec.hpp"
#include "codec/protobuf_codec.hpp"
#include "codec/raw_codec.hpp"
#include "codec/rooms_codec.hpp"

namespace weft {

std::vector<std::unique_ptr<Codec>> make_codecs(const CodecSettings& settings) {
    std::vector<std::unique_ptr<Codec>> codecs;
    codecs.push_back(std::make_unique<JsonCodec>(settings.max_depth));
    codecs.push_back(std::make_unique<ProtobufCodec>(settings.max_depth));
    codecs.push_back(std::make_unique<RoomsCodec>(settings.rooms_prefix, settings.max_depth));
    codecs.push_back(std::make_unique<RawCodec>());
    return codecs;
}

}  // namespace weft

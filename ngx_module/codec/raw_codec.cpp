#include "codec/raw_codec.hpp"

#include "codec/json_scanner.hpp"

namespace weft {

namespace {

struct Told {
    bool operator()(const event::Event&) const noexcept { return true; }
    bool operator()(const event::Error&) const noexcept { return true; }
    bool operator()(const event::Gap&) const noexcept { return true; }
    bool operator()(const event::Unsubscribed&) const noexcept { return true; }
    bool operator()(const event::Reconnect&) const noexcept { return true; }
    bool operator()(const event::Subscribed& body) const noexcept { return body.resumed && !body.recovered; }
    bool operator()(const auto&) const noexcept { return false; }
};

}  // namespace

bool RawCodec::tells(const ServerFrame& frame) const noexcept {
    return std::visit(Told(), frame.body);
}

tl::expected<Command, CommandError> RawCodec::decode(std::string_view message) {
    data_.clear();
    append_json_string(data_, message);
    return Command{{}, command::Publish{{}, data_, {}}};
}

void RawCodec::encode(const ServerFrame& frame, std::string& out) const {
    const auto* event = std::get_if<event::Event>(&frame.body);
    if (event == nullptr) return json_.encode(frame, out);
    const std::string_view data = event->data;
    if (data.size() < 2 || data.front() != '"') {
        out += data;
        return;
    }
    const std::string_view raw = data.substr(1, data.size() - 2);
    const std::size_t before = out.size();
    out.resize(before + raw.size());
    out.resize(before + unescape_json(raw, out.data() + before).size());
}

}  // namespace weft

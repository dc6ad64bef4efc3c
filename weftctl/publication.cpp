#include "publication.hpp"

#include "codec/text_rules.hpp"
#include "json_line.hpp"

namespace weft {

std::string describe(const v1::Publication& publication, std::string_view channel, bool json) {
    std::string time;
    append_timestamp(time, WallTime(std::chrono::milliseconds(publication.timestamp_ms())));
    const v1::Publisher& by = publication.publisher();
    if (!json) {
        return time + '\t' + (publication.position().empty() ? "-" : publication.position()) + '\t' +
               (by.user().empty() ? "-" : by.user()) + '\t' + publication.data();
    }
    JsonLine line;
    line.text("channel", channel).json("data", publication.data());
    if (!publication.position().empty()) line.text("position", publication.position());
    line.text("message_id", publication.message_id()).text("timestamp", time);
    if (publication.has_publisher()) {
        JsonLine who;
        who.text("user", by.user()).text("client_id", HexId(by.client_id()).view());
        line.json("publisher", who.str());
    }
    return line.str();
}

}  // namespace weft

#include "gateway/survey.hpp"

#include "codec/json_object.hpp"
#include "gateway/parameters.hpp"
#include "weft/survey.hpp"

namespace weft {

namespace {

void write_names(ObjectWriter& out, std::string_view member,
                 const google::protobuf::RepeatedPtrField<std::string>& names) {
    std::string& text = out.member(member);
    text += '[';
    for (const std::string& name : names) {
        if (&name != &names.Get(0)) text += ',';
        append_json_string(text, name);
    }
    text += ']';
}

void write_node(std::string& json, const v1::NodeInfo& node) {
    ObjectWriter out(json);
    out.string("node", node.node());
    out.boolean("up", node.up());
    if (node.up()) {
        out.string("software", node.software());
        out.number("uptime_ms", node.uptime_ms());
        out.number("shards", node.shards());
        out.number("workers", node.workers());
        out.number("peers", node.peers());
        out.number("connections", node.connections());
        out.number("subscriptions", node.subscriptions());
        out.number("channels", node.channels());
        out.number("published", node.published());
        out.number("delivered", node.delivered());
        out.number("history_bytes", node.history_bytes());
    }
    out.end();
}

std::string write_channels(const v1::ChannelsPage& page) {
    std::string json;
    ObjectWriter out(json);
    std::string& list = out.member("channels");
    list += '[';
    for (const auto& entry : page.channels()) {
        if (&entry != &page.channels(0)) list += ',';
        ObjectWriter channel(list);
        channel.string("channel", entry.channel());
        channel.number("subscribers", entry.subscribers());
        channel.end();
    }
    list += ']';
    out.boolean("complete", page.horizon().empty());
    if (!page.horizon().empty()) out.string("next", page.horizon());
    write_names(out, "nodes", page.nodes());
    write_names(out, "missing", page.missing());
    out.end();
    return json;
}

}  // namespace

std::optional<Survey::Kind> survey_kind(std::string_view method) noexcept {
    if (method == "weft.channels") return Survey::Kind::channels;
    if (method == "weft.node") return Survey::Kind::node;
    if (method == "weft.nodes") return Survey::Kind::nodes;
    return std::nullopt;
}

Survey read_survey(Survey::Kind kind, Parameters& parameters) {
    Survey survey{};
    survey.kind = kind;
    if (kind != Survey::Kind::channels) return survey;
    survey.pattern = parameters.text("pattern");
    survey.after = parameters.text("after");
    survey.limit = parameters.number("limit", 1, Survey::kMaxLimit, Survey::kDefaultLimit);
    if (survey.after.size() > kMaxChannelName) {
        parameters.refuse("\"after\" is longer than 255 bytes: expected \"next\" of the page before");
    }
    if (survey.pattern.empty()) return survey;
    if (const auto pattern = ChannelPattern::parse(survey.pattern); !pattern) {
        parameters.refuse("\"pattern\" is no pattern of channels: " + pattern.error());
    }
    return survey;
}

std::string survey_result(const Survey& survey) {
    if (survey.kind == Survey::Kind::channels) return write_channels(merge_channels(survey.channels, survey.limit));
    const v1::NodesPage page = merge_nodes(survey.nodes);
    std::string json;
    if (survey.kind == Survey::Kind::node) {
        if (page.nodes_size() > 0) write_node(json, page.nodes(0));
        return json;
    }
    ObjectWriter out(json);
    std::string& list = out.member("nodes");
    list += '[';
    for (const v1::NodeInfo& node : page.nodes()) {
        if (&node != &page.nodes(0)) list += ',';
        write_node(list, node);
    }
    list += ']';
    out.end();
    return json;
}

}  // namespace weft

#include "gateway/survey.hpp"

#include "codec/json_object.hpp"
#include "codec/survey_json.hpp"
#include "gateway/parameters.hpp"
#include "weft/survey.hpp"

namespace weft {

namespace {

void write_names(ObjectWriter& out, std::string_view member,
                 const google::protobuf::RepeatedPtrField<std::string>& names) {
    JsonOutput& text = out.member(member);
    text += '[';
    for (const std::string& name : names) {
        if (&name != &names.Get(0)) text += ',';
        text.string(name);
    }
    text += ']';
}

/// What comes behind the entries of a page. `next`: what to go on after; empty: nothing is behind it.
template <class Page>
void write_end(ObjectWriter& out, const Page& page, std::string_view next) {
    out.boolean("complete", next.empty());
    if (!next.empty()) out.string("next", next);
    write_names(out, "nodes", page.nodes());
    write_names(out, "missing", page.missing());
}

void write_channels(ObjectWriter& out, const v1::ChannelsPage& page) {
    JsonOutput& list = out.member("channels");
    list += '[';
    for (const auto& entry : page.channels()) {
        if (&entry != &page.channels(0)) list += ',';
        ObjectWriter channel(list);
        channel.string("channel", entry.channel());
        channel.number("subscribers", entry.subscribers());
        channel.end();
    }
    list += ']';
    write_end(out, page, page.horizon());
}

void write_clients(ObjectWriter& out, const v1::ClientsPage& page) {
    JsonOutput& list = out.member("clients");
    list += '[';
    for (const v1::ClientInfo& client : page.clients()) {
        if (&client != &page.clients(0)) list += ',';
        ObjectWriter object(list);
        write_client(object, client);
        object.end();
    }
    list += ']';
    const HexId horizon(page.horizon());
    write_end(out, page, page.horizon() == 0 ? std::string_view() : horizon.view());
}

void write_nodes(ObjectWriter& out, const v1::NodesPage& page) {
    JsonOutput& list = out.member("nodes");
    list += '[';
    for (const v1::NodeInfo& node : page.nodes()) {
        if (&node != &page.nodes(0)) list += ',';
        ObjectWriter object(list);
        write_node(object, node);
        object.end();
    }
    list += ']';
}

void read_clients(Parameters& parameters, Survey& survey) {
    survey.user = parameters.text(text::kUser, true);
    survey.channel = parameters.text(text::kChannel, true);
    survey.node = parameters.text(text::kNode, true);
    const std::string after = parameters.text("after");
    if (after.empty()) return;
    const auto id = HexId::parse(after);
    if (!id) parameters.refuse("\"after\" is no client id: expected \"next\" of the page before");
    survey.after_client = id.value_or(0);
}

void read_channels(Parameters& parameters, Survey& survey) {
    survey.pattern = parameters.text("pattern");
    survey.after = parameters.text("after");
    if (survey.after.size() > kMaxChannelName) {
        parameters.refuse("\"after\" is longer than 255 bytes: expected \"next\" of the page before");
    }
    if (survey.pattern.empty()) return;
    if (const auto pattern = ChannelPattern::parse(survey.pattern); !pattern) {
        parameters.refuse("\"pattern\" is no pattern of channels: " + pattern.error());
    }
}

}  // namespace

std::optional<Survey::Kind> survey_kind(std::string_view method) noexcept {
    if (method == "weft.channels") return Survey::Kind::channels;
    if (method == "weft.clients") return Survey::Kind::clients;
    if (method == "weft.node") return Survey::Kind::node;
    if (method == "weft.nodes") return Survey::Kind::nodes;
    return std::nullopt;
}

Survey read_survey(Survey::Kind kind, Parameters& parameters) {
    Survey survey{};
    survey.kind = kind;
    const bool channels = kind == Survey::Kind::channels;
    if (!channels && kind != Survey::Kind::clients) return survey;
    channels ? read_channels(parameters, survey) : read_clients(parameters, survey);
    survey.limit = parameters.number("limit", 1, Survey::kMaxLimit, Survey::kDefaultLimit);
    return survey;
}

void write_question(const Survey& survey, std::uint64_t number, v1::Frame& question) {
    if (survey.kind == Survey::Kind::channels) {
        v1::ReadChannels& read = *question.mutable_read_channels();
        read.set_pattern(survey.pattern);
        read.set_after(survey.after);
        read.set_limit(survey.limit);
    } else if (survey.kind == Survey::Kind::clients) {
        v1::ReadClients& read = *question.mutable_read_clients();
        read.set_user(survey.user);
        read.set_channel(survey.channel);
        read.set_node(survey.node);
        read.set_after(survey.after_client);
        read.set_limit(survey.limit);
    } else {
        question.mutable_read_nodes()->set_alone(survey.kind == Survey::Kind::node);
    }
    set_survey_request(question, number);
}

std::string survey_result(const Survey& survey) {
    std::string json;
    if (survey.kind == Survey::Kind::node && survey.page.nodes_page().nodes_size() == 0) return json;
    append_object(json, [&](ObjectWriter& out) {
        switch (survey.kind) {
            case Survey::Kind::channels: return write_channels(out, survey.page.channels_page());
            case Survey::Kind::clients: return write_clients(out, survey.page.clients_page());
            case Survey::Kind::nodes: return write_nodes(out, survey.page.nodes_page());
            case Survey::Kind::node: return write_node(out, survey.page.nodes_page().nodes(0));
        }
    });
    return json;
}

}  // namespace weft

// What a node says of itself and its channels, and of the mesh.
#include <algorithm>
#include <optional>
#include <utility>

#include "broker/broker_state.hpp"
#include "weft/survey.hpp"

namespace weft {

namespace {

constexpr std::chrono::milliseconds kRetry{1'000};

std::size_t page_size(std::uint32_t limit) {
    return limit == 0 ? SubscriberCounts::kMaxPage : std::min<std::size_t>(limit, SubscriberCounts::kMaxPage);
}

}  // namespace

void Broker::State::on_subscriptions(LinkId link, const Link& from, const v1::Subscriptions& told) {
    for (const auto& entry : told.entries()) {
        Channel* const channel = channels.find(entry.channel());
        if (channel != nullptr && from.channels.contains(channel)) subscribers.set(link, *channel, entry.count());
    }
    if (told.has_connections()) subscribers.set_connections(link, told.connections());
}

bool Broker::State::own_channels(const v1::ReadChannels& read, v1::ChannelsPage& page) {
    std::optional<ChannelPattern> pattern;
    if (!read.pattern().empty()) {
        auto parsed = ChannelPattern::parse(read.pattern());
        if (!parsed) return false;
        pattern = std::move(*parsed);
    }
    subscribers.read(pattern ? &*pattern : nullptr, read.after(), page_size(read.limit()), page);
    page.add_nodes(settings.node);
    return true;
}

void Broker::State::own_node(v1::NodesPage& page) const {
    v1::NodeInfo& node = *page.add_nodes();
    node.set_node(settings.node);
    node.set_up(true);
    node.set_software(settings.software);
    const auto uptime = std::chrono::duration_cast<std::chrono::milliseconds>(clock - started);
    node.set_uptime_ms(started == Instant{} ? 0 : static_cast<std::uint64_t>(uptime.count()));
    node.set_shards(settings.shards);
    std::uint32_t workers = 0, peers = 0;
    for (const auto& [id, link] : links) {
        if (link.role == LinkRole::worker) ++workers;
        if (link.role == LinkRole::peer_out) ++peers;
    }
    node.set_workers(workers);
    node.set_peers(peers);
    node.set_connections(subscribers.connections());
    node.set_subscriptions(subscribers.subscriptions());
    node.set_channels(subscribers.channels());
    node.set_published(counts.published);
    node.set_delivered(counts.delivered);
    node.set_history_bytes(archive.bytes());
}

void Broker::State::on_read_channels(LinkId link, const Link& from, const v1::ReadChannels& read, Instant now) {
    PendingSurveys::Survey survey;
    survey.limit = page_size(read.limit());
    v1::ChannelsPage& own = survey.channels.emplace_back();
    if (!own_channels(read, own)) return fail(link, read.request(), Code::invalid_message, "not a channel pattern");
    v1::Frame frame;
    if (from.role == LinkRole::peer_in) {
        own.set_request(read.request());
        *frame.mutable_channels_page() = std::move(own);
        return sender.send(link, frame);
    }
    *frame.mutable_read_channels() = read;
    frame.mutable_read_channels()->set_limit(static_cast<std::uint32_t>(survey.limit));
    ask_peers(link, read.request(), std::move(survey), frame, now);
}

void Broker::State::on_read_nodes(LinkId link, const Link& from, const v1::ReadNodes& read, Instant now) {
    PendingSurveys::Survey survey;
    own_node(survey.nodes.emplace_back());
    v1::Frame frame;
    if (from.role == LinkRole::peer_in || read.alone()) {
        survey.nodes.front().set_request(read.request());
        *frame.mutable_nodes_page() = std::move(survey.nodes.front());
        return sender.send(link, frame);
    }
    *frame.mutable_read_nodes() = read;
    ask_peers(link, read.request(), std::move(survey), frame, now);
}

void Broker::State::ask_peers(LinkId link, std::uint64_t request, PendingSurveys::Survey survey, v1::Frame& question,
                              Instant now) {
    if (surveys.full()) {
        return fail(link, request, Code::unavailable, "too many ask about the mesh at once, try again", {}, kRetry);
    }
    survey.number = ++last_survey;
    survey.link = link;
    survey.request = request;
    survey.until = now + settings.mesh_wait;
    if (question.has_read_channels()) question.mutable_read_channels()->set_request(survey.number);
    if (question.has_read_nodes()) question.mutable_read_nodes()->set_request(survey.number);
    mesh.for_each_peer([&](PeerSlot slot, const std::string&, LinkId peer, Instant) {
        if (peer == 0) return;
        survey.awaited |= std::uint64_t{1} << slot;
        sender.send(peer, question);
    });
    surveys.add(std::move(survey));
    release_surveys(now);
}

void Broker::State::on_survey_answer(PeerSlot slot, const v1::Frame& frame, Instant now) {
    const bool channels_told = frame.has_channels_page();
    PendingSurveys::Survey* const survey =
        surveys.find(channels_told ? frame.channels_page().request() : frame.nodes_page().request());
    const std::uint64_t bit = std::uint64_t{1} << slot;
    if (survey == nullptr || (survey->awaited & bit) == 0 || channels_told != (survey->limit != 0)) {
        return void(++counts.ignored);
    }
    survey->awaited &= ~bit;
    if (channels_told) {
        survey->channels.push_back(frame.channels_page());
    } else {
        survey->nodes.push_back(frame.nodes_page());
    }
    release_surveys(now);
}

void Broker::State::release_surveys(Instant now) {
    surveys.release(now, [&](PendingSurveys::Survey& survey) {
        v1::Frame frame;
        const auto missing = [&](auto tell) {
            mesh.for_each_peer([&](PeerSlot slot, const std::string& name, LinkId peer, Instant down_since) {
                const bool silent = (survey.awaited & std::uint64_t{1} << slot) != 0;
                if (silent || (peer == 0 && now - down_since < kForgetPeer)) tell(name);
            });
        };
        if (survey.limit != 0) {
            missing([&](const std::string& name) { survey.channels.front().add_missing(name); });
            *frame.mutable_channels_page() = merge_channels(survey.channels, survey.limit);
            frame.mutable_channels_page()->set_request(survey.request);
        } else {
            missing([&](const std::string& name) { survey.nodes.front().add_nodes()->set_node(name); });
            *frame.mutable_nodes_page() = merge_nodes(survey.nodes);
            frame.mutable_nodes_page()->set_request(survey.request);
        }
        sender.send(survey.link, frame);
    });
}

}  // namespace weft

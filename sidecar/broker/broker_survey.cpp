// What a node says of itself and its channels, and of the mesh.
#include <optional>
#include <utility>

#include "broker/broker_state.hpp"
#include "weft/survey.hpp"

namespace weft {

namespace {

constexpr std::chrono::milliseconds kRetry{1'000};

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
    PendingSurveys::Survey survey{.link = link, .request = read.request(), .limit = page_size(read.limit())};
    if (!own_channels(read, *survey.page.mutable_channels_page())) {
        return fail(link, read.request(), Code::invalid_message, "not a channel pattern");
    }
    if (from.role == LinkRole::peer_in) return answer_survey(link, read.request(), survey.page);
    v1::Frame question;
    *question.mutable_read_channels() = read;
    question.mutable_read_channels()->set_limit(static_cast<std::uint32_t>(survey.limit));
    begin_survey(std::move(survey), question, now);
}

void Broker::State::on_read_nodes(LinkId link, const Link& from, const v1::ReadNodes& read, Instant now) {
    PendingSurveys::Survey survey{.link = link, .request = read.request()};
    own_node(*survey.page.mutable_nodes_page());
    if (from.role == LinkRole::peer_in || read.alone()) return answer_survey(link, read.request(), survey.page);
    v1::Frame question;
    *question.mutable_read_nodes() = read;
    begin_survey(std::move(survey), question, now);
}

void Broker::State::begin_survey(PendingSurveys::Survey survey, v1::Frame& question, Instant now) {
    if (surveys.full()) {
        return fail(survey.link, survey.request, Code::unavailable, "too many ask about the mesh at once, try again",
                    {}, kRetry);
    }
    survey.number = ++last_survey;
    if (survey.until == Instant{}) survey.until = now + settings.mesh_wait;
    set_survey_request(question, survey.number);
    sender.send(survey.workers, question);
    mesh.for_each_peer([&](PeerSlot slot, const std::string& name, LinkId peer, Instant) {
        if (peer == 0 || (survey.about & only(slot)) == 0) return;
        if (question.has_read_clients() && !links.at(peer).greeting.clients) {
            return survey.page.mutable_clients_page()->add_missing(name);
        }
        survey.awaited |= only(slot);
        sender.send(peer, question);
    });
    surveys.add(std::move(survey));
    release_surveys(now);
}

void Broker::State::on_survey_answer(PeerSlot slot, const v1::Frame& page, Instant now) {
    PendingSurveys::Survey* const survey = surveys.find(survey_request(page));
    if (survey == nullptr || (survey->awaited & only(slot)) == 0 || survey->page.body_case() != page.body_case()) {
        return void(++counts.ignored);
    }
    survey->awaited &= ~only(slot);
    merge_page(survey->page, page, survey->limit);
    release_surveys(now);
}

void Broker::State::answer_survey(LinkId link, std::uint64_t request, v1::Frame& page) {
    set_survey_request(page, request);
    sender.send(link, page);
}

void Broker::State::release_surveys(Instant now) {
    surveys.release(now, [&](PendingSurveys::Survey& survey) {
        v1::Frame silent;
        const auto name_missing = [&](const std::string& node) {
            switch (survey.page.body_case()) {
                case v1::Frame::kChannelsPage: return silent.mutable_channels_page()->add_missing(node);
                case v1::Frame::kClientsPage: return silent.mutable_clients_page()->add_missing(node);
                default: return silent.mutable_nodes_page()->add_nodes()->set_node(node);
            }
        };
        mesh.for_each_peer([&](PeerSlot slot, const std::string& name, LinkId peer, Instant down_since) {
            if ((survey.about & only(slot)) == 0) return;
            const bool down = peer == 0 && now - down_since < kForgetPeer;
            if (down || (survey.awaited & only(slot)) != 0) name_missing(name);
        });
        if (!survey.workers.empty()) name_missing(settings.node);
        merge_page(survey.page, silent, survey.limit);
        answer_survey(survey.link, survey.request, survey.page);
    });
}

}  // namespace weft

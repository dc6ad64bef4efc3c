// Which connections there are, as workers and peers say.
#include <string>
#include <utility>

#include "broker/broker_state.hpp"
#include "weft/survey.hpp"

namespace weft {

void Broker::State::on_read_clients(LinkId link, const Link& from, const v1::ReadClients& read, Instant now) {
    const bool for_peer = from.role == LinkRole::peer_in;
    PendingSurveys::Survey survey{.link = link, .request = read.request(), .limit = page_size(read.limit())};
    bool here = true;
    if (for_peer) {
        survey.about = 0;
        survey.until = now + settings.mesh_wait / 2;  // so that the peer, which waits for longer, hears of the others
    } else if (!read.node().empty()) {
        here = read.node() == settings.node;
        survey.about = 0;
        mesh.for_each_peer([&](PeerSlot slot, const std::string& name, LinkId peer, Instant down_since) {
            if (name == read.node() && (peer != 0 || now - down_since < kForgetPeer)) survey.about |= only(slot);
        });
        if (!here && survey.about == 0) {
            return fail(link, read.request(), Code::invalid_message, "no node of this name is known");
        }
    }
    v1::ClientsPage& page = *survey.page.mutable_clients_page();
    if (for_peer && surveys.full()) {  // Failed would be an answer to another kind of question
        page.add_missing(settings.node);
        return answer_survey(link, read.request(), survey.page);
    }
    if (here) {
        bool all = true;
        for (const auto& [id, one] : links) {
            if (one.role != LinkRole::worker) continue;
            if (one.greeting.clients) survey.workers.push_back(id);
            // Tools have none, and workers of earlier versions can't say which they have.
            if (!one.greeting.clients && subscribers.connections_of(id) > 0) all = false;
        }
        all ? page.add_nodes(settings.node) : page.add_missing(settings.node);
    }
    v1::Frame question;
    *question.mutable_read_clients() = read;
    question.mutable_read_clients()->set_limit(static_cast<std::uint32_t>(survey.limit));
    begin_survey(std::move(survey), question, now);
}

void Broker::State::on_worker_clients(LinkId link, const v1::Frame& page, Instant now) {
    PendingSurveys::Survey* const survey = surveys.find(survey_request(page));
    if (survey == nullptr || std::erase(survey->workers, link) == 0) return void(++counts.ignored);
    v1::Frame named = page;
    for (v1::ClientInfo& client : *named.mutable_clients_page()->mutable_clients()) client.set_node(settings.node);
    merge_page(survey->page, named, survey->limit);
    release_surveys(now);
}

}  // namespace weft

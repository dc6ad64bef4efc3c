#include "call/questions.hpp"

#include <utility>

#include "call/failed_frame.hpp"
#include "call/hook_body.hpp"

namespace weft {

void Questions::ask(LinkId link, std::uint64_t request, Hook hook, std::string body) {
    if (!on(hook)) return allow(link, request, {});  // it was configured when the worker was told
    if (pending_.size() >= kMax) {
        return outbox_.reply(
            link, failed_frame(request, unavailable("too many questions wait for the application, try again")));
    }
    const std::uint64_t id = ++last_id_;
    if (const auto error = outbox_.call({hook, id, std::move(body)})) {
        return outbox_.reply(link, failed_frame(request, *error));
    }
    pending_.try_emplace(id, Pending{link, request});
}

void Questions::on_may_connect(LinkId link, const v1::MayConnect& question) {
    ask(link, question.request(), Hook::connect, connect_body(question, settings_.node));
}

void Questions::on_may_subscribe(LinkId link, const v1::MaySubscribe& question) {
    ask(link, question.request(), Hook::subscribe, subscribe_body(question, settings_.node));
}

void Questions::on_disconnected(const v1::Disconnected& disconnected) {
    // Best effort: nobody waits for an answer, and nobody hears when it can't be told.
    if (on(Hook::disconnect)) {
        (void)outbox_.call({Hook::disconnect, ++last_id_, disconnect_body(disconnected, settings_.node)});
    }
}

void Questions::allow(LinkId link, std::uint64_t request, const HookAnswer& answer) {
    v1::Frame frame;
    v1::Allowed& allowed = *frame.mutable_allowed();
    allowed.set_request(request);
    allowed.set_user(answer.user);
    allowed.set_info(answer.info);
    allowed.set_grants(answer.grants);
    outbox_.reply(link, frame);
}

void Questions::on_hook_answer(const HookAnswer& answer) {
    const auto place = pending_.find(answer.id);
    if (place == pending_.end()) return;
    const Pending asked = place->second;
    pending_.erase(place);
    if (answer.allowed()) return allow(asked.link, asked.request, answer);
    outbox_.reply(asked.link, failed_frame(asked.request, answer.error));
}

void Questions::on_worker_down(LinkId link) {
    std::erase_if(pending_, [link](const auto& one) { return one.second.link == link; });
}

}  // namespace weft

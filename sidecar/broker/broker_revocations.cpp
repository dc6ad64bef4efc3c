// Decisions about clients, which go to every worker and every peer.
#include <string>

#include "broker/broker_state.hpp"
#include "weft/codes.hpp"

namespace weft {

void Broker::State::tell(const v1::Revocation& revocation, LinkId from) {
    v1::Frame frame;
    *frame.mutable_revocation() = revocation;
    const std::string bytes(sender.encode(frame));
    for (const auto& [id, link] : links) {
        if (id != from && link.role != LinkRole::peer_out) sender.send_encoded(id, bytes);
    }
}

void Broker::State::tell_all(LinkId to) {
    v1::Frame frame;
    revocations.for_each([&](const v1::Revocation& revocation) {
        *frame.mutable_revocation() = revocation;
        sender.send(to, frame);
    });
}

void Broker::State::on_revoke(LinkId link, const v1::Revoke& revoke, WallTime wall) {
    v1::Revocation revocation = revoke.revocation();
    const std::string_view wrong = Revocations::check(revocation);
    if (!wrong.empty()) return fail(link, revoke.request(), Code::invalid_message, wrong);
    revocations.issue(revocation, std::chrono::seconds(revoke.seconds()), wall);
    switch (revocations.add(revocation, wall)) {
        case Revocations::Added::known:
            return fail(link, revoke.request(), Code::invalid_message, "a ban needs a time that it holds");
        case Revocations::Added::forgotten:
            return fail(
                link, revoke.request(), Code::unavailable,
                "node " + settings.node + " remembers its maximum of " + std::to_string(Revocations::kMax) + " bans");
        case Revocations::Added::news: break;
    }
    tell(revocation, 0);
    ++counts.revocations;
    v1::Frame frame;
    frame.mutable_published()->set_request(revoke.request());
    sender.send(link, frame);
}

void Broker::State::on_revocation(LinkId link, const v1::Revocation& revocation, WallTime wall) {
    if (revocations.add(revocation, wall) == Revocations::Added::news) tell(revocation, link);
}

}  // namespace weft

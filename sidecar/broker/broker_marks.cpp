// Marks: one point in the order of what two workers are sent, at which connections move from one to the other.
//
// Whatever goes to several workers is sent to all of them within one call of the broker, links keep their order, and
// nothing that was accepted waits here for one worker alone: so between two calls is a point that is the same for both,
// and a Mark, which is a call of its own, is such a point.
//
// Not in that order are answers to what one worker asked (pages of history and of members, Published and its like), and
// signals, which a worker that is busy is not sent at all.
#include <algorithm>

#include "broker/broker_state.hpp"

namespace weft {

void Broker::State::on_mark(LinkId link, const Link& from, const v1::Mark& mark) {
    if (from.greeting.incarnation == 0) return void(++counts.ignored);  // weftctl, say, which has no connections
    v1::Frame frame;
    v1::Marked& marked = *frame.mutable_marked();
    marked.set_from(from.greeting.incarnation);
    marked.set_number(mark.number());
    marked.set_to(mark.to());
    LinkId to = 0;
    for (const auto& [id, other] : links) {
        // Of a worker that dialed again, before its old link was found dead, the newer one.
        if (other.role == LinkRole::worker && other.greeting.incarnation == mark.to()) to = std::max(to, id);
    }
    if (mark.to() == 0 || to == 0 || to == link) {
        marked.set_failed(true);
        return sender.send(link, frame);
    }
    presence.on_move(link, clock);
    const LinkId both[] = {link, to};
    sender.send(both, frame);
}

}  // namespace weft

// Calls of methods.
#include <utility>

#include "broker/broker_state.hpp"
#include "broker/builtin_rpc.hpp"

namespace weft {

void Broker::State::on_rpc(LinkId link, const v1::Rpc& rpc, WallTime wall) {
    ++counts.rpcs;
    auto result = call_builtin(rpc.method(), rpc.params(), settings.node, wall);
    if (!result) return fail(link, rpc.request(), result.error().code, result.error().message);
    if (rpc.request() == 0) return;
    v1::Frame frame;
    frame.mutable_rpc_result()->set_request(rpc.request());
    frame.mutable_rpc_result()->set_result(std::move(*result));
    sender.send(link, frame);
}

}  // namespace weft

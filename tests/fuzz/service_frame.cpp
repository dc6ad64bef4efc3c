// What services send weftd, with BackEnds behind it and workers that call: each call that is taken is answered once,
// and no worker is told what no client may read, whatever services say, and in whichever order.
//
// The input is a list of steps. The three low bits of a step's first byte say what it is, the others are its argument;
// the next two bytes are the size of what belongs to it, or a number:
//   0  an encoded ServiceFrame of a service        1  a service registers for the pattern of methods that the bytes are
//   2  a worker calls the method that the bytes are, or, without any, one that many have
//   3  a service answers a call with the bytes     4  a service answers a call with the bytes as an encoded Error
//   5  so many milliseconds pass                   6  a service is gone
//   7  a worker is gone, and comes again
// A service, or worker, is named by the argument. A call answered is that service's oldest or newest.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "call/back_ends.hpp"
#include "call/hook_body.hpp"
#include "codec/json_scanner.hpp"
#include "support/require.hpp"
#include "websocket/utf8.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxSteps = 256;
constexpr unsigned kServices = 8, kWorkers = 2;
constexpr std::uint64_t kUnasked = 0;  // number of no request

struct Step {
    unsigned kind = 0;
    unsigned argument = 0;
    std::size_t number = 0;
    std::string_view bytes;

    static Step take(std::string_view& input) {
        const auto byte = [&input] {
            const auto value = static_cast<std::uint8_t>(input.empty() ? 0 : input.front());
            input.remove_prefix(input.empty() ? 0 : 1);
            return value;
        };
        Step step;
        const std::uint8_t first = byte();
        step.kind = first & 7;
        step.argument = first >> 3;
        step.number = byte();
        step.number |= std::size_t{byte()} << 8;
        if (step.kind < 5) {
            step.bytes = input.substr(0, step.number);
            input.remove_prefix(step.bytes.size());
        }
        return step;
    }
};

class Rig : public BackEnds::Outbox {
public:
    Rig() : back_ends_(settings(), *this) {
        for (LinkId link = 1; link <= kWorkers; ++link) back_ends_.on_worker_up(link);
    }

    void run(std::string_view input) {
        for (std::size_t i = 0; i < kMaxSteps && !input.empty(); ++i) {
            take(Step::take(input));
            check();
        }
        // In the end each call has an answer, and nothing is kept for any.
        pass(settings().service_timeout);
        REQUIRE(waiting_.empty());
        pass(settings().service_timeout);
        check();
        REQUIRE(back_ends_.counts().outstanding == 0);
        for (ServiceId service = 1; service <= kServices; ++service) gone(service);
        REQUIRE(back_ends_.counts().services.empty());
        back_ends_.say_goodbye();
    }

    // --- what BackEnds say

    void reply(LinkId link, const v1::Frame& frame) override {
        check_wire(frame);
        std::uint64_t request = kUnasked;
        if (frame.has_rpc_result()) {
            request = frame.rpc_result().request();
            const std::string& result = frame.rpc_result().result();
            REQUIRE(is_json(result) && result.size() <= BackEnds::kMaxResult);
            const auto brackets = std::ranges::count_if(result, [](char c) { return c == '{' || c == '['; });
            REQUIRE(check_json(result).empty() || static_cast<std::size_t>(brackets) > kMaxDepth);
        } else {
            REQUIRE(frame.has_failed());
            request = frame.failed().request();
            REQUIRE(frame.failed().code() >= kMinCode && frame.failed().code() <= kMaxCode);
            REQUIRE(frame.failed().message().size() <= kMaxErrorMessage);
        }
        // Nobody is answered twice, nor who hasn't asked, nor who is gone.
        REQUIRE(waiting_.erase({link, request}) == 1);
    }
    void pass(LinkId, const v1::Frame&) override { REQUIRE(false); }
    bool knows(const v1::Publish&) override { return false; }
    std::optional<CallError> call(HookCall) override {
        REQUIRE(false);
        return std::nullopt;
    }
    void to_service(ServiceId service, const v1::ServiceFrame& frame) override {
        check_wire(frame);
        switch (frame.body_case()) {
            case v1::ServiceFrame::kRegistered: {
                REQUIRE(asked_ != nullptr && service == speaker_);
                std::vector<MethodPattern>& methods = methods_[service];
                methods.clear();
                for (const std::string& text : asked_->methods()) methods.push_back(*MethodPattern::parse(text));
                REQUIRE(!methods.empty() && methods.size() <= Services::kMaxMethods);
                return;
            }
            case v1::ServiceFrame::kCall: {
                const std::string& method = frame.call().method();
                REQUIRE(!method.starts_with("weft."));
                REQUIRE(std::ranges::any_of(methods_[service], [&](const auto& one) { return one.matches(method); }));
                REQUIRE(frame.call().timeout_ms() > 0 && !calls_[service].contains(frame.call().id()));
                calls_[service].insert(frame.call().id());
                return;
            }
            case v1::ServiceFrame::kRejected: REQUIRE(!frame.rejected().message().empty()); return;
            case v1::ServiceFrame::kHeartbeat:
            case v1::ServiceFrame::kGoodbye: return;
            default: REQUIRE(false);
        }
    }

private:
    static BackEndSettings settings() {
        BackEndSettings settings;
        settings.node = "fuzz";
        return settings;
    }

    /// What is sent can be read.
    template <class Message>
    static void check_wire(const Message& message) {
        Message again;
        REQUIRE(again.ParseFromString(message.SerializeAsString()));
    }

    void take(const Step& step) {
        const ServiceId service = 1 + step.argument % kServices;
        v1::ServiceFrame frame;
        switch (step.kind) {
            case 0:
                if (frame.ParseFromArray(step.bytes.data(), static_cast<int>(step.bytes.size()))) say(service, frame);
                return;
            case 1:
                frame.mutable_register_()->set_name("s");
                frame.mutable_register_()->add_methods(step.bytes.data(), step.bytes.size());
                frame.mutable_register_()->set_capacity(step.argument / kServices);
                return say(service, frame);
            case 2: return ask(1 + step.argument % kWorkers, step.bytes.empty() ? "a.b" : step.bytes);
            case 3:
                frame.mutable_answer()->set_result(step.bytes.data(), step.bytes.size());
                return answer(service, step.argument / kServices % 2 == 0, frame);
            case 4:
                if (!frame.mutable_answer()->mutable_error()->ParseFromArray(step.bytes.data(),
                                                                             static_cast<int>(step.bytes.size()))) {
                    return;
                }
                return answer(service, step.argument / kServices % 2 == 0, frame);
            case 5: return pass(std::chrono::milliseconds(step.number % 12'000));
            case 6: return gone(service);
            case 7: return restart(1 + step.argument % kWorkers);
            default: return;
        }
    }

    void say(ServiceId service, const v1::ServiceFrame& frame) {
        speaker_ = service;
        asked_ = frame.has_register_() ? &frame.register_() : nullptr;
        back_ends_.on_service_frame(service, frame, now_);
        asked_ = nullptr;
    }

    void answer(ServiceId service, bool oldest, v1::ServiceFrame& frame) {
        std::set<std::uint64_t>& calls = calls_[service];
        if (calls.empty()) return;
        const auto call = oldest ? calls.begin() : std::prev(calls.end());
        frame.mutable_answer()->set_id(*call);
        calls.erase(call);
        say(service, frame);
    }

    void ask(LinkId link, std::string_view method) {
        if (!websocket::is_utf8(method)) return;
        v1::Frame frame;
        frame.mutable_rpc()->set_request(++requests_);
        frame.mutable_rpc()->set_method(method.data(), method.size());
        frame.mutable_rpc()->set_params("{}");
        waiting_.emplace(link, requests_);
        if (back_ends_.on_frame(link, frame, now_)) return;
        REQUIRE(waiting_.erase({link, requests_}) == 1);  // the broker's, and not answered here
    }

    void pass(std::chrono::milliseconds time) {
        now_ += time;
        back_ends_.on_tick(now_);
    }

    void gone(ServiceId service) {
        calls_[service].clear();
        back_ends_.on_service_gone(service, now_);
    }

    void restart(LinkId link) {
        back_ends_.on_worker_down(link);
        std::erase_if(waiting_, [&](const auto& one) { return one.first == link; });
        back_ends_.on_worker_up(link);
    }

    void check() {
        const BackEnds::Counts counts = back_ends_.counts();
        REQUIRE(counts.outstanding >= waiting_.size());
        std::uint64_t outstanding = 0, connections = 0;
        for (const auto& service : counts.services) {
            REQUIRE(!service.name.empty() && service.name.size() <= Services::kMaxName);
            outstanding += service.outstanding;
            connections += service.connections;
        }
        REQUIRE(outstanding == counts.outstanding && connections <= kServices);
        REQUIRE(counts.held == 0 && counts.held_bytes == 0);
    }

    Instant now_{1000ms};
    std::uint64_t requests_ = kUnasked;
    std::set<std::pair<LinkId, std::uint64_t>> waiting_;       // workers' requests
    std::map<ServiceId, std::set<std::uint64_t>> calls_;       // that it has not answered
    std::map<ServiceId, std::vector<MethodPattern>> methods_;  // of its newest registration
    ServiceId speaker_ = 0;
    const v1::Register* asked_ = nullptr;  // what the frame that is looked at asks for
    BackEnds back_ends_;
};

}  // namespace
}  // namespace weft

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::Rig rig;
    rig.run({reinterpret_cast<const char*>(data), size});
    return 0;
}

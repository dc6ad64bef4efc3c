#include "io/back_end_port.hpp"

#include <algorithm>
#include <utility>

#include "version.hpp"

namespace weft {
namespace {

const Config::Webhook& webhook(const Config& config, Hook hook) {
    return config.hooks[static_cast<std::size_t>(hook)];
}

template <class Pattern>
std::vector<Pattern> patterns_of(const Config::Webhook& hook) {
    std::vector<Pattern> patterns;
    for (const std::string& text : hook.patterns) {
        if (auto parsed = Pattern::parse(text)) patterns.push_back(std::move(*parsed));  // as was checked
    }
    return patterns;
}

BackEndSettings settings_of(const Config& config) {
    BackEndSettings settings;
    settings.node = config.node;
    for (const Hook hook : kAllHooks) {
        settings.hooks[static_cast<std::size_t>(hook)] = !webhook(config, hook).url.empty();
    }
    settings.methods = patterns_of<MethodPattern>(webhook(config, Hook::rpc));
    settings.publish_channels = patterns_of<ChannelPattern>(webhook(config, Hook::publish));
    settings.service_timeout = config.services.timeout;
    return settings;
}

}  // namespace

std::unique_ptr<HookClient> make_hook_client(const Config& config, std::uint64_t life) {
    HookClient::Targets targets;
    bool any = false;
    for (const Hook which : kAllHooks) {
        const Config::Webhook& hook = webhook(config, which);
        if (hook.url.empty()) continue;
        any = true;
        HookClient::Target target;
        target.url = hook.url;
        target.headers = hook.headers;
        target.key = hook.key;
        target.max_answer = hook.max_answer;
        target.lane.timeout = hook.timeout;
        target.lane.concurrency = hook.concurrency;
        target.lane.queue = hook.queue;
        target.lane.breaker = {static_cast<std::uint32_t>(hook.breaker_failures), hook.breaker_pause};
        targets[static_cast<std::size_t>(which)] = std::move(target);
    }
    if (!any) return nullptr;
    return std::make_unique<HookClient>(std::move(targets), life, std::string(kSoftware));
}

void describe_hooks(const Config& config, v1::Welcome& welcome) {
    const Config::Webhook& subscribe = webhook(config, Hook::subscribe);
    if (const Config::Webhook& connect = webhook(config, Hook::connect); !connect.url.empty()) {
        welcome.mutable_hooks()->set_connect(true);
        welcome.mutable_hooks()->set_connect_timeout_ms(static_cast<std::uint32_t>(connect.timeout.count()));
    }
    if (!webhook(config, Hook::disconnect).url.empty()) welcome.mutable_hooks()->set_disconnect(true);
    if (subscribe.url.empty()) return;
    for (const std::string& pattern : subscribe.patterns) welcome.mutable_hooks()->add_subscribe(pattern);
    if (subscribe.patterns.empty()) welcome.mutable_hooks()->add_subscribe("**");
}

bool BackEndPort::wanted(const Config& config) {
    return !config.services.listen.empty() ||
           std::ranges::any_of(config.hooks, [](const Config::Webhook& hook) { return !hook.url.empty(); });
}

BackEndPort::BackEndPort(zmq::context_t& context, const Config& config, HookClient* hooks, BrokerGate& gate, Log& log)
    : gate_(gate), log_(log), hooks_(hooks), back_ends_(settings_of(config), *this) {
    if (hooks_ != nullptr) asker_ = hooks_->join(answers_);
    if (!config.services.listen.empty()) {
        services_ =
            std::make_unique<ServicePort>(context, config.services, static_cast<ServicePort::Events&>(*this), log);
        log_.info("services", {{"listen", config.services.listen}});
    }
    gate_.filter(this);
}

BackEndPort::~BackEndPort() {
    gate_.filter(nullptr);
    if (hooks_ != nullptr) hooks_->leave(asker_);
}

void BackEndPort::watch(std::vector<pollfd>& items) {
    if (hooks_ != nullptr) items.push_back({answers_.fd(), POLLIN, 0});
    if (services_) items.push_back({services_->socket().get(zmq::sockopt::fd), POLLIN, 0});
}

bool BackEndPort::receive(Instant now) {
    now_ = now;
    if (hooks_ != nullptr) {
        answers_.take(taken_);
        for (const HookAnswer& answer : taken_) {
            if (!answer.why.empty()) {
                log_.from_link(
                    LogLevel::warn, "hook_failed",
                    {{"hook", name_of(answer.hook)}, {"outcome", name_of(answer.outcome)}, {"why", answer.why}}, now);
            }
            back_ends_.on_hook_answer(answer, now);
        }
    }
    return services_ && services_->receive(now);
}

bool BackEndPort::readable() {
    return services_ && (services_->socket().get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
}

void BackEndPort::tick(Instant now) {
    now_ = now;
    back_ends_.on_tick(now);
    if (services_) services_->tick(now);
}

void BackEndPort::close(Instant now) {
    now_ = now;
    back_ends_.say_goodbye();
    if (services_) services_->socket().set(zmq::sockopt::linger, 200);
}

bool BackEndPort::on_frame(LinkId link, const v1::Frame& frame, Instant now) {
    now_ = now;
    return back_ends_.on_frame(link, frame, now);
}

std::optional<CallError> BackEndPort::call(HookCall call) {
    call.asker = asker_;
    return hooks_->call(std::move(call));
}

void BackEndPort::to_service(ServiceId service, const v1::ServiceFrame& frame) {
    services_->send(service, frame);
}

void BackEndPort::on_service_frame(ServiceId service, const v1::ServiceFrame& frame, Instant now) {
    now_ = now;
    if (frame.has_register_()) {
        log_.from_link(LogLevel::info, "service_registered",
                       {{"name", frame.register_().name()}, {"methods", frame.register_().methods_size()}}, now);
    }
    back_ends_.on_service_frame(service, frame, now);
}

void BackEndPort::on_service_gone(ServiceId service, Instant now) {
    now_ = now;
    back_ends_.on_service_gone(service, now);
}

}  // namespace weft

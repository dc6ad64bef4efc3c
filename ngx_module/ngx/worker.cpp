#include "ngx/worker.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "ngx/arrivals.hpp"
#include "ngx/departures.hpp"
#include "ngx/request_carrier.hpp"
#include "ngx/socket.hpp"
#include "ngx/zone.hpp"
#include "weft/quiet_protobuf.hpp"

namespace weft {

namespace {

std::unique_ptr<Worker>& instance() noexcept {
    static std::unique_ptr<Worker> worker;
    return worker;
}

std::mt19937_64 seeded() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
}

v1::Hello make_hello(const ngx_cycle_t& cycle, const MainSettings& settings, std::mt19937_64& random) {
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(std::string(view(cycle.hostname)) + "/" + std::to_string(ngx_pid));
    hello.set_incarnation(random());
    hello.set_software("weft/" WEFT_VERSION);
    hello.mutable_rules()->set_generation(settings.generation);
    for (const ChannelRule& rule : settings.rules.all()) {
        v1::ChannelRule& said = *hello.mutable_rules()->add_rules();
        said.set_pattern(rule.pattern.text());
        if (rule.history_count == 0) continue;
        said.mutable_history()->set_count(rule.history_count);
        said.mutable_history()->set_age_ms(static_cast<std::uint64_t>(rule.history_age.count()));
        said.mutable_history()->set_ack(rule.ack == Ack::peer);
    }
    return hello;
}

CodecSettings codec_settings(const MainSettings& settings) {
    CodecSettings codecs;
    if (settings.json_depth) codecs.max_depth = *settings.json_depth;
    if (settings.rooms_prefix) codecs.rooms_prefix = *settings.rooms_prefix;
    return codecs;
}

}  // namespace

Worker* Worker::current() noexcept {
    return instance().get();
}

bool Worker::start(ngx_cycle_t* cycle) noexcept {
    MainSettings* settings = main_settings(cycle);
    if (settings == nullptr || !settings->used) return true;
    silence_protobuf();
    Counters* counters = claim_counters(settings->zone);
    if (counters == nullptr) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "weft: more than %uz workers share the zone \"weft\"", kMaxWorkers);
        return false;
    }
    try {
        std::unique_ptr<Worker> worker(new Worker(cycle, *settings, *counters));
        worker->link_ = Link::open(settings->sidecar, worker->gateway_, cycle);
        if (worker->link_ == nullptr) return false;
        worker->link_->wait_up();
        if (!settings->rendezvous.empty()) {
            worker->arrivals_ = Arrivals::open(*worker, *settings, settings->rendezvous, cycle);
            worker->departures_ =
                std::make_unique<Departures>(*worker, cycle, settings->rendezvous, settings->generation);
        }
        ngx_add_timer(&worker->tick_, kTick);
        instance() = std::move(worker);
        return true;
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "weft: can't start in this worker: %s", error.what());
        return false;
    }
}

void Worker::stop() noexcept {
    instance().reset();
}

Worker::Worker(ngx_cycle_t* cycle, MainSettings& settings, Counters& counters)
    : cycle_(cycle),
      settings_(settings),
      counters_(counters),
      admission_(settings.zone, &counters, settings.counted),
      random_(seeded()),
      members_(settings.zone, &counters, cycle->log),
      codecs_(make_codecs(codec_settings(settings))),
      read_buffer_(std::make_unique<char[]>(kReadBuffer + websocket::kPadding)),
      write_buffer_(std::make_unique<char[]>(kWriteBuffer)),
      gateway_(make_hello(*cycle, settings, random_), LinkTimings{}, settings.rules, counters, *this, monotonic_now(),
               wall_now()) {
    gateway_.set_send_memory(settings.send_memory.value_or(Gateway::kDefaultSendMemory));
    gateway_.share_limits({&rates_of(settings.zone), &members_, &refusals_of(settings.zone)});
    turn_end_.data = this;
    turn_end_.log = cycle->log;
    turn_end_.handler = [](ngx_event_t* event) { static_cast<Worker*>(event->data)->end_turn(); };
    tick_.data = this;
    tick_.log = cycle->log;
    tick_.cancelable = 1;
    tick_.handler = [](ngx_event_t* event) { static_cast<Worker*>(event->data)->on_tick(); };
}

Worker::~Worker() {
    arrivals_.reset();
    departures_.reset();
    link_.reset();
    if (tick_.timer_set) ngx_del_timer(&tick_);
    if (turn_end_.posted) {
        ngx_delete_posted_event(&turn_end_);
    }
    release_counters(settings_.zone, &counters_);
}

void Worker::schedule_turn_end() {
    if (!turn_end_.posted) {
        ngx_post_event(&turn_end_, &ngx_posted_events);
    }
}

void Worker::end_turn() noexcept {
    try {
        wake();
        if (link_) link_->flush();  // first: the way through weftd is the longer one
        gateway_.end_turn();
        if (arrivals_) arrivals_->run();
        if (departures_) departures_->run();
        if (link_) link_->flush();
        resume_paused();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: %s", error.what());
    }
}

void Worker::on_tick() noexcept {
    try {
        wake();
        if (ngx_exiting && !std::exchange(drained_, true)) {
            for (RequestCarrier* request : requests_) drain(request->client());
        }
        gateway_.tick();
        if (arrivals_) arrivals_->run();
        if (departures_) departures_->run();
        link_->flush();
        resume_paused();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: %s", error.what());
    }
    ngx_add_timer(&tick_, kTick);
}

void Worker::drain(Connection& connection) {
    tick_.cancelable = 0;
    Socket* const socket = connection.carrier()->socket();
    if (departures_ && socket != nullptr && departures_->add(*socket)) return;
    if (departures_ && connection.comes_again() && departures_->others_come()) {
        // Its client finds the others when it asks again, and notices nothing.
        const ngx_msec_t window = std::min(settings_.drain.value_or(MainSettings::kDefaultDrain), kMaxSpread);
        const ngx_msec_t wait = window == 0 ? 0 : random_() % window;
        return connection.drain(gateway_.now() + std::chrono::milliseconds(wait), Connection::kWithoutAWord);
    }
    drain_here(connection);
}

void Worker::on_socket_gone(const Socket& socket) noexcept {
    if (departures_) departures_->forget(socket);
}

void Worker::on_marked(unsigned shard, const v1::Marked& marked) {
    if (departures_) departures_->on_marked(shard, marked);
    if (arrivals_) arrivals_->on_marked(shard, marked);
}

void Worker::on_link_lost() {
    if (departures_) departures_->on_link_lost();
    if (arrivals_) arrivals_->on_link_lost();
}

void Worker::drain_here(Connection& connection) {
    const ngx_msec_t window = settings_.drain.value_or(MainSettings::kDefaultDrain);
    const ngx_msec_t grace = std::min(window / 4, kMaxGrace);
    const ngx_msec_t wait = window == grace ? 0 : random_() % (window - grace);
    connection.drain(gateway_.now() + std::chrono::milliseconds(wait), std::chrono::milliseconds(grace));
}

void Worker::flush(Connection& connection) {
    connection.carrier()->flush();
}

tl::expected<std::shared_ptr<const Identity>, event::Error> Worker::identify(Connection& connection,
                                                                             std::string_view token) {
    return connection.carrier()->identify(token);
}

void Worker::read_on(Connection& connection) {
    connection.carrier()->read_on();
}

void Worker::visit(const std::function<void(Connection&)>& visit) {
    for_each_carrier([&visit](Carrier& carrier) { visit(carrier.client()); });
}

void Worker::for_each_carrier(const std::function<void(Carrier&)>& visit) {
    Socket::for_each(cycle_, visit);
    for (RequestCarrier* request : requests_) visit(*request);
    if (arrivals_) arrivals_->for_each(visit);
}

void Worker::add_request(RequestCarrier& request) {
    request.seat_ = requests_.size();
    requests_.push_back(&request);
    tick_.cancelable = 0;
}

void Worker::remove_request(RequestCarrier& request) noexcept {
    requests_[request.seat_] = requests_.back();
    requests_[request.seat_]->seat_ = request.seat_;
    requests_.pop_back();
    if (requests_.empty() && !ngx_exiting) tick_.cancelable = 1;
}

void Worker::log_open() noexcept {
    wake();
    for_each_carrier([](Carrier& carrier) { carrier.log_end(); });
}

void Worker::resume_paused() noexcept {
    try {
        gateway_.resume_paused();
    } catch (const std::exception& error) {
        ngx_log_error(NGX_LOG_ALERT, cycle_->log, 0, "weft: %s", error.what());
    }
}

void Worker::log(Gateway::Level level, std::string_view line) {
    const ngx_uint_t severity = level == Gateway::Level::info      ? NGX_LOG_NOTICE
                                : level == Gateway::Level::warning ? NGX_LOG_WARN
                                                                   : NGX_LOG_ERR;
    ngx_log_error(severity, cycle_->log, 0, "weft: %*s", line.size(), line.data());
}

}  // namespace weft

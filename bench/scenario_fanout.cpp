// Publications to many subscribers, at a rate or in a closed loop. The latency scenario is this one at 1 × 1.
#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "audit.hpp"
#include "clock.hpp"
#include "cpu_meter.hpp"
#include "histogram.hpp"
#include "reloader.hpp"
#include "scenario.hpp"
#include "window.hpp"

namespace weft::bench {
namespace {

class Fanout final : public Swarm::Listener {
public:
    Fanout(const Options& options, const Dialect& dialect)
        : options_(options),
          dialect_(dialect),
          payload_(options.payload),
          audit_(options.channels, options.subscribers_per_channel),
          window_(options.rate > 0 ? 1 : options.window, options.channels, options.subscribers_per_channel),
          swarm_(options.address, options.tls, dialect, *this),
          cpu_(options.servers),
          reloader_(master_of(options), options.reloads,
                    static_cast<std::uint64_t>(options.seconds * 1e9 / std::max(1U, options.reloads))) {}

    JsonObject run();

    void on_delivery(Connection& connection, const Stamp& stamp, std::uint64_t now) override {
        if (stamp.publisher == kProbe) {
            connection.probed = true;
            return;
        }
        if (!audit_.deliver(connection.ledger, connection.channel, stamp)) return;
        if (saturating()) window_.arrive(stamp.publisher, stamp.number);
        if (measuring_) latency_.record(now - stamp.sent_at);
    }

    void on_lost(Connection& connection, std::string_view why) override {
        audit_.disconnect();
        if (options_.reloads == 0 || !connected_) {
            lost_ = why;
            return;
        }
        if (first_end_.empty()) first_end_ = why;
        Connection& again = swarm_.open(connection.role, connection.channel);
        again.ledger = connection.ledger;
        if (connection.role == Role::publisher) publishers_[connection.channel] = &again;
        swarm_.close(connection);
    }

private:
    struct Moment {
        std::uint64_t at = 0;
        std::uint64_t delivered = 0;
        std::uint64_t publications = 0;
    };
    [[nodiscard]] bool saturating() const { return options_.rate <= 0; }
    [[nodiscard]] static pid_t master_of(const Options& options) {
        const auto nginx = std::ranges::find(options.servers, "nginx", &Server::name);
        return nginx == options.servers.end() ? 0 : nginx->pid;
    }
    void connect();
    void publish(std::uint32_t channel);
    void publish_window();
    void publish_due(std::uint64_t now);
    void check_stall(std::uint64_t now);
    void drain();
    void begin();
    void end();
    void step(std::uint64_t until);
    [[nodiscard]] JsonObject report() const;

    const Options& options_;
    const Dialect& dialect_;
    Payload payload_;
    Audit audit_;
    FlightWindow window_;
    Swarm swarm_;
    std::vector<Connection*> subscribers_;
    std::vector<Connection*> publishers_;
    CpuMeter cpu_;
    Reloader reloader_;
    Moment before_;
    Moment after_;
    Histogram latency_;
    bool measuring_ = false;
    std::uint32_t next_channel_ = 0;
    std::uint64_t publications_ = 0;
    std::uint64_t due_at_ = 0;
    std::uint64_t worst_delay_ = 0;  // of a publication behind its schedule
    std::uint64_t stall_seen_ = 0;   // deliveries when progress was last seen
    std::uint64_t progress_at_ = 0;
    std::string lost_;
    bool connected_ = false;
    std::string first_end_;     // why a client was first cut off by a reload
    std::uint64_t unsent_ = 0;  // publications that were due while their publisher was cut off
};

void Fanout::connect() {
    const std::size_t count = std::size_t{options_.channels} * options_.subscribers_per_channel;
    // Neighbours in the order of connecting belong to different channels, as they would in life.
    open_all(
        swarm_, options_, Role::subscriber, count,
        [&](std::size_t i) { return static_cast<std::uint32_t>(i % options_.channels); }, lost_);
    const std::uint32_t publishers = dialect_.publisher_per_channel() ? options_.channels : options_.publishers;
    open_all(
        swarm_, options_, Role::publisher, publishers, [](std::size_t i) { return static_cast<std::uint32_t>(i); },
        lost_);
    publishers_.resize(publishers);
    for (const auto& connection : swarm_.connections()) {
        if (connection->role == Role::publisher)
            publishers_[connection->channel] = connection.get();
        else
            subscribers_.push_back(connection.get());
    }
    probe_until_all_hear(swarm_, subscribers_, publishers_, options_.payload);
    connected_ = true;
}

void Fanout::publish(std::uint32_t channel) {
    const std::uint32_t number = audit_.next(channel);
    if (saturating()) window_.depart(channel, number);
    ++publications_;
    audit_.publish(channel);
    swarm_.publish(*publishers_[channel % publishers_.size()], channel, payload_.with({channel, number, now_ns()}));
}

void Fanout::publish_window() {
    // At most one round over the channels without finding room, so a slow channel can't hold the loop.
    for (std::uint32_t full = 0; full < options_.channels && !window_.full();) {
        const std::uint32_t channel = next_channel_;
        next_channel_ = (next_channel_ + 1) % options_.channels;
        if (window_.has_room(channel, audit_.next(channel))) {
            publish(channel);
            full = 0;
        } else {
            ++full;
        }
    }
    swarm_.flush();
}

void Fanout::publish_due(std::uint64_t now) {
    const auto interval = static_cast<std::uint64_t>(1e9 / options_.rate);
    while (due_at_ <= now) {
        if (measuring_ && now - due_at_ > worst_delay_) worst_delay_ = now - due_at_;
        if (publishers_[next_channel_ % publishers_.size()]->state == Connection::State::ready) {
            publish(next_channel_);
        } else {
            ++unsent_;
        }
        next_channel_ = (next_channel_ + 1) % options_.channels;
        due_at_ += interval;
    }
    swarm_.flush();
}

// In a closed loop one lost publication would end everything: give up what is in flight and count that.
void Fanout::check_stall(std::uint64_t now) {
    if (audit_.delivered() != stall_seen_ || window_.empty()) {
        stall_seen_ = audit_.delivered();
        progress_at_ = now;
    } else if (now - progress_at_ > 2 * kSecond) {
        window_.reset();
        progress_at_ = now;
        audit_.stall();
    }
}

// Waits for what is still under way, until nothing has come for 2 s.
void Fanout::drain() {
    std::uint64_t seen = audit_.delivered();
    std::uint64_t heard_at = now_ns();
    while (audit_.lost() > 0 && now_ns() - heard_at < 2 * kSecond) {
        swarm_.turn(10 * kMillisecond);
        if (audit_.delivered() != seen) {
            seen = audit_.delivered();
            heard_at = now_ns();
        }
    }
}

void Fanout::begin() {
    measuring_ = true;
    cpu_.start();
    before_ = {now_ns(), audit_.delivered(), publications_};
    if (!saturating()) due_at_ = before_.at;
}

void Fanout::end() {
    after_ = {now_ns(), audit_.delivered(), publications_};
    cpu_.stop();
    measuring_ = false;
}

// One turn of the load: what may or must be published now, then what the sockets have.
void Fanout::step(std::uint64_t until) {
    const std::uint64_t now = now_ns();
    if (saturating()) {
        publish_window();
        check_stall(now);
        swarm_.turn(until > now ? std::min(until - now, 100 * kMillisecond) : 0);
        return;
    }
    publish_due(now);
    if (measuring_) reloader_.run(now);
    const std::uint64_t next = std::min(due_at_, until);
    const std::uint64_t later = now_ns();
    swarm_.turn(next > later ? next - later : 0);
}

JsonObject Fanout::run() {
    connect();
    std::fprintf(stderr, "%s: %u channels x %u subscribers ready\n", options_.label.c_str(), options_.channels,
                 options_.subscribers_per_channel);
    due_at_ = progress_at_ = now_ns();
    const std::uint64_t warm = due_at_ + static_cast<std::uint64_t>(options_.warmup * 1e9);
    while (now_ns() < warm) step(warm);
    begin();
    const std::uint64_t end_at = before_.at + static_cast<std::uint64_t>(options_.seconds * 1e9);
    reloader_.start(before_.at);
    while (now_ns() < end_at) step(end_at);
    // On a slow machine it takes longer until the last worker of before is gone.
    for (const std::uint64_t late = end_at + 60 * kSecond; !reloader_.done() && now_ns() < late;) {
        step(now_ns() + 100 * kMillisecond);
    }
    end();
    drain();
    return report();
}

JsonObject Fanout::report() const {
    const double seconds = static_cast<double>(after_.at - before_.at) / 1e9;
    const double rate = static_cast<double>(after_.delivered - before_.delivered) / seconds;
    const double publication_rate = static_cast<double>(after_.publications - before_.publications) / seconds;
    const double cpu = cpu_.server_seconds();
    const auto us = [&](double quantile) { return static_cast<double>(latency_.at(quantile)) / 1e3; };

    std::fprintf(stderr,
                 "%s: %.0f deliveries/s, %.0f publications/s, p50 %.0f us, p99 %.0f us, server CPU %.0f %%, load CPU "
                 "%.0f %%\n",
                 options_.label.c_str(), rate, publication_rate, us(0.5), us(0.99), 100 * cpu / seconds,
                 100 * cpu_.load_seconds() / seconds);
    std::fprintf(stderr,
                 "%s: %ju expected, lost %ju, duplicates %ju, reordered %ju, stray %ju, disconnects %ju, stalls "
                 "%ju%s%s\n",
                 options_.label.c_str(), std::uintmax_t{audit_.expected()}, std::uintmax_t{audit_.lost()},
                 std::uintmax_t{audit_.duplicates()}, std::uintmax_t{audit_.reordered()},
                 std::uintmax_t{audit_.stray()}, std::uintmax_t{audit_.disconnects()}, std::uintmax_t{audit_.stalls()},
                 lost_.empty() ? "" : ": ", lost_.c_str());

    if (options_.reloads > 0) {
        std::fprintf(stderr, "%s: %u reloads in %.0f s, %ju publications not sent for want of a connection%s%s\n",
                     options_.label.c_str(), reloader_.begun(), seconds, std::uintmax_t{unsent_},
                     first_end_.empty() ? "" : "; the first end: ", first_end_.c_str());
    }

    JsonObject result;
    result.add("channels", options_.channels)
        .add("subscribers_per_channel", options_.subscribers_per_channel)
        .add("payload_bytes", options_.payload)
        .add("mode", saturating() ? "saturate" : "rate")
        .add("window", saturating() ? options_.window : 0U)
        .add("rate", options_.rate)
        .add("seconds", seconds)
        .add("deliveries_per_second", rate)
        .add("publications_per_second", publication_rate)
        .add("deliveries_per_server_cpu_second", cpu > 0 && options_.reloads == 0 ? rate * seconds / cpu : 0.0)
        .add("latency_p50_us", us(0.5))
        .add("latency_p90_us", us(0.9))
        .add("latency_p99_us", us(0.99))
        .add("latency_p999_us", us(0.999))
        .add("latency_max_us", static_cast<double>(latency_.max()) / 1e3)
        .add("worst_publish_delay_us", static_cast<double>(worst_delay_) / 1e3);
    if (options_.reloads == 0) cpu_.add_to(result, seconds);  // workers that are gone take their share with them
    result.add("expected", audit_.expected())
        .add("lost", audit_.lost())
        .add("duplicates", audit_.duplicates())
        .add("reordered", audit_.reordered())
        .add("stray", audit_.stray())
        .add("disconnects", audit_.disconnects())
        .add("stalls", audit_.stalls())
        .add("reloads", reloader_.begun())
        .add("unsent", unsent_)
        .add("clean", audit_.clean() && unsent_ == 0 && reloader_.begun() == options_.reloads);
    return result;
}

}  // namespace

JsonObject run_fanout(const Options& options, const Dialect& dialect) {
    return Fanout(options, dialect).run();
}

}  // namespace weft::bench

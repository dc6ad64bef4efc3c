// weftctl subscribe: follows a channel until it is interrupted.
#include <csignal>
#include <iostream>
#include <memory>

#include "channel_name.hpp"
#include "json_line.hpp"
#include "publication.hpp"
#include "sidecar.hpp"
#include "weft/position.hpp"

namespace weft {

namespace {

struct Options {
    Sidecar::Options sidecar;
    std::string channel;
    std::optional<std::string> from;
    std::uint64_t count = 0;
    bool json = false;
};

volatile std::sig_atomic_t stopped = 0;

class Follower {
public:
    explicit Follower(const Options& options)
        : options_(options), position_(options.from), sidecar_(options.sidecar, options.channel) {}

    void run() {
        subscribe();
        while (stopped == 0 && !enough()) {
            bool lost = false;
            auto frame = sidecar_.next(stopped, lost);
            if (lost) subscribe();
            if (frame) take(*frame);
        }
    }

private:
    [[nodiscard]] bool enough() const { return options_.count != 0 && printed_ == options_.count; }

    void subscribe() {
        v1::Frame frame;
        frame.mutable_subscribe()->set_channel(options_.channel);
        if (position_) frame.mutable_subscribe()->set_position(*position_);
        sidecar_.send(frame);
    }

    void take(const v1::Frame& frame) {
        if (frame.has_failed()) throw Failure(frame.failed().message());
        if (frame.has_subscribed()) {
            catch_up(frame.subscribed());
        } else if (frame.has_gap()) {
            tell_gap();
        } else if (frame.has_publication() && frame.publication().channel() == options_.channel) {
            position_ = frame.publication().position();
            if (!frame.publication().repeat()) print(frame.publication());
        }
    }

    // What came between the position and the present is had from the history, where the channel has one. What is
    // published meanwhile waits in the link.
    void catch_up(const v1::Subscribed& subscribed) {
        if (!position_) {
            position_ = subscribed.position();
            return;
        }
        if (!subscribed.history()) {
            const auto ours = Position::parse(*position_);
            const auto theirs = Position::parse(subscribed.position());
            if (subscribed.gap() || !ours || !theirs || !ours->covers(*theirs)) tell_gap();
            position_ = subscribed.position();
            return;
        }
        for (std::string after = *position_;;) {
            v1::Frame frame;
            frame.mutable_read_history()->set_request(1);
            frame.mutable_read_history()->set_channel(options_.channel);
            frame.mutable_read_history()->set_after(after);
            const v1::Frame answer = sidecar_.ask(frame);
            const v1::HistoryPage& page = answer.history_page();
            if (page.lost()) tell_gap();
            auto at = Position::parse(page.start()).value_or(Position());
            for (v1::Publication publication : page.events()) {
                at.set(publication.stream(), publication.number());
                publication.set_position(at.text());
                if (!publication.repeat() && !enough()) print(publication);
            }
            after = at.text();
            if (page.complete() || page.events().empty()) break;
        }
        position_ = subscribed.position();
    }

    void print(const v1::Publication& publication) {
        std::cout << describe(publication, options_.channel, options_.json) << std::endl;
        ++printed_;
        if (!std::cout) throw Failure("the output could not be written");
    }

    void tell_gap() {
        if (options_.json) {
            std::cout << JsonLine().text("channel", options_.channel).boolean("gap", true).str() << std::endl;
        } else {
            std::cerr << "weftctl: publications were missed here\n";
        }
    }

    const Options& options_;
    std::optional<std::string> position_;
    Sidecar sidecar_;
    std::uint64_t printed_ = 0;
};

void run(const Options& options) {
    check_channel(options.channel);
    if (options.from) {
        if (const auto position = Position::parse(*options.from); !position) {
            throw UsageError("--from " + *options.from + ": " + position.error());
        }
    }
    struct sigaction action {};
    action.sa_handler = [](int) { stopped = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    Follower(options).run();
}

}  // namespace

void add_subscribe_command(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App& command = *app.add_subcommand("subscribe", "Print what is published to a channel, until interrupted");
    command.add_option("channel", options->channel)->required();
    command.add_option("--from", options->from,
                       "Begin behind this position, as far as the channel's history goes back");
    command.add_option("--count", options->count, "End after so many publications");
    command.add_flag("--json", options->json, "Print JSON, an object a line");
    Sidecar::add_options(command, options->sidecar);
    command.callback([options] { run(*options); });
}

}  // namespace weft

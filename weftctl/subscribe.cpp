// weftctl subscribe: follows a channel until it is interrupted.
#include <iostream>

#include "channel_name.hpp"
#include "interrupt.hpp"
#include "json_line.hpp"
#include "publication.hpp"
#include "query.hpp"
#include "weft/standing.hpp"

namespace weft {

namespace {

struct Options {
    Sidecar::Options sidecar;
    std::string channel;
    std::optional<std::string> from;
    std::uint64_t count = 0;
    bool json = false;
};

class Follower {
public:
    explicit Follower(const Options& options) : options_(options), sidecar_(options.sidecar, options.channel) {
        if (!options.from) return;
        standing_.told = *Position::parse(*options.from);
        began_ = true;
    }

    void run() {
        const auto& stopped = catch_interrupts();
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
        if (began_) frame.mutable_subscribe()->set_position(standing_.told.text());
        sidecar_.send(frame);
    }

    void take(const v1::Frame& frame) {
        if (frame.has_failed()) throw Failure(frame.failed().message());
        if (frame.has_subscribed()) {
            kept_ = frame.subscribed().history();
            if (began_) {
                kept_ ? catch_up() : go_on(frame.subscribed());
            } else {
                standing_.told = *Position::parse(frame.subscribed().position());
                began_ = true;
            }
        } else if (frame.has_gap()) {
            tell_gap();
            standing_.told.merge(Position::parse(frame.gap().position()).value_or(Position()));
        } else if (frame.has_publication() && frame.publication().channel() == options_.channel) {
            take_live(frame.publication());
        }
    }

    void take_live(const v1::Publication& publication) {
        if (!kept_) {
            standing_.told = Position::parse(publication.position()).value_or(Position());
            print(publication);
        } else if (standing_.takes(publication.stream(), publication.number())) {
            print(publication);
        }
    }

    /// Without history nothing can be had of what came between.
    void go_on(const v1::Subscribed& subscribed) {
        const auto theirs = Position::parse(subscribed.position()).value_or(Position());
        if (subscribed.gap() || !standing_.told.covers(theirs)) tell_gap();
        standing_.told = theirs;
    }

    // What is published meanwhile waits in the link, or is in the pages, or both.
    void catch_up() {
        while (!enough()) {
            Position after = standing_.told;
            after.merge(standing_.beyond);
            v1::Frame frame;
            frame.mutable_read_history()->set_request(1);
            frame.mutable_read_history()->set_channel(options_.channel);
            frame.mutable_read_history()->set_after(after.text());
            const v1::Frame answer = sidecar_.ask(frame);
            const v1::HistoryPage& page = answer.history_page();
            if (page.lost()) tell_gap();
            standing_.begin(after, Position::parse(page.start()).value_or(Position()));
            for (const v1::Publication& publication : page.events()) {
                if (enough()) return;
                if (standing_.takes(publication.stream(), publication.number())) print(publication);
            }
            if (page.complete() || page.events().empty()) return;
        }
    }

    void print(v1::Publication publication) {
        if (publication.repeat()) return;
        publication.set_position(standing_.told.text());
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
    Standing standing_;
    bool began_ = false;  // it is known where to go on from
    bool kept_ = false;   // the channel has a history
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
    Follower(options).run();
}

}  // namespace

void add_subscribe_command(CLI::App& app) {
    add_query<Options>(
        app, "subscribe", "Print what is published to a channel, until interrupted",
        [](CLI::App& command, Options& options) {
            add_channel(command, options.channel);
            command.add_option("--from", options.from,
                               "Begin behind this position, as far as the channel's history goes back");
            command.add_option("--count", options.count, "End after so many publications");
        },
        run);
}

}  // namespace weft

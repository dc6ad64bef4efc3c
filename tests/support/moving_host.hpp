// Three workers of one host, and their weftd, in memory: connections move between them as docs/reload.md says.
#pragma once

#include <memory>
#include <string>

#include "support/moving_worker.hpp"

namespace weft::test {

/// What a worker says of a connection that moves, before and behind the moment.
struct MovingRecord {
    v1::Leaver leaver;
    v1::Moved rest;

    bool operator==(const MovingRecord& other) const {
        return leaver.SerializeAsString() == other.leaver.SerializeAsString() &&
               rest.SerializeAsString() == other.rest.SerializeAsString();
    }
};

class MovingHost final : private Broker::Outbox {
public:
    static constexpr std::size_t kWorkers = 3;

    MovingHost() {
        for (LinkId link = 1; link <= kWorkers; ++link) {
            workers_[link - 1] = std::make_unique<MovingWorker>(link, broker_, times_);
        }
        run();
    }

    [[nodiscard]] MovingWorker& worker(std::size_t index) { return *workers_[index]; }

    struct Move {
        MovingRecord record;
        MovingClient* client;  // at its new worker, where it has no socket yet: release()
    };
    /// `client`, which is at rest, goes from one worker to another. Nothing may be on its way to it.
    Move move(MovingWorker& from, MovingClient& client, MovingWorker& to) {
        Move move;
        Connection& before = *client.connection;
        v1::Leaver& leaver = move.record.leaver;
        REQUIRE(before.describe(leaver));
        before.stand_still();
        leaver.set_location(std::string(from.place_of(client)));
        Gateway::describe(before, leaver);
        move.client = to.expect(leaver);
        REQUIRE(move.client != nullptr);
        Connection& after = *move.client->connection;
        run();
        REQUIRE(to.gateway().expected_everywhere(after));
        bool left = false, came = false;
        times_.on_marked = [&](LinkId told, unsigned shard, const v1::Marked& marked) {
            REQUIRE(!marked.failed() && marked.number() == number_);
            if (told == from.gateway().incarnation()) {
                from.gateway().slip_out(before, shard);
                left = true;
            } else {
                REQUIRE(to.gateway().slip_in(after, shard));
                came = true;
            }
        };
        REQUIRE(from.gateway().mark(++number_, to.gateway().incarnation()));
        run();
        times_.on_marked = nullptr;
        REQUIRE(left && came && before.phase() == Connection::Phase::open);
        before.pack(move.record.rest);
        from.forget_moved(client);
        to.forget_guests();
        to.gateway().resume_moved(after, move.record.rest);
        return move;
    }

    /// Until nothing is left to do.
    void run() {
        for (int i = 0; i < 100; ++i) {
            bool any = false;
            for (const auto& worker : workers_) any = worker->turn() || any;
            if (!any) return;
        }
        REQUIRE(!"workers and weftd come to rest");
    }
    /// Time passes, in steps of a second at most.
    void pass(std::chrono::milliseconds time) {
        for (const Instant until = times_.now + time; times_.now < until;) {
            const auto step = std::min<std::chrono::milliseconds>(std::chrono::seconds(1), until - times_.now);
            times_.now += step;
            times_.wall += step;
            for (const auto& worker : workers_) worker->tick();
            broker_.on_tick(times_.now);
            run();
        }
    }
    /// All sockets together take `size` bytes, and no more.
    void take(std::size_t size) {
        times_.room = size;
        for (const auto& worker : workers_) worker->flush_all();
        run();
    }

private:
    static BrokerSettings settings() {
        BrokerSettings settings;
        settings.node = "node";
        return settings;
    }
    void send(LinkId link, std::string_view frame) override {
        if (const auto& worker = workers_[link - 1]) worker->listener().send(frame, times_.now);
    }

    MovingTimes times_;
    std::mt19937_64 random_{7};
    Broker broker_{settings(), [this] { return random_(); }, *this};
    std::unique_ptr<MovingWorker> workers_[kWorkers];
    std::uint64_t number_ = 0;
};

}  // namespace weft::test

// Clients that only listen, in the worker of gateway_fixture.hpp: streams and polls, whose sockets are strings.
#pragma once

#include <concepts>

#include "gateway/poll_connection.hpp"
#include "gateway/stream_connection.hpp"
#include "unit/gateway_fixture.hpp"

namespace weft::test {

/// The far end of one.
struct Far {
    std::unique_ptr<Connection> connection;  // null once the worker has done with it
    std::string bytes;                       // of a stream, received and not yet looked at
    std::size_t room = SIZE_MAX;             // bytes that it still takes
    std::optional<std::string> answer;       // of a poll: its body, empty where there was nothing to say
    std::string position;                    // that the answer's head had
    std::uint16_t close_code = 0;
    bool closed_by_peer = false;

    std::string take() { return std::exchange(bytes, {}); }
    [[nodiscard]] bool gone() const { return connection == nullptr; }
};

/// A worker whose clients are all of this kind; weftd is played by the test.
class ListenerGateway : public ScriptedGateway {
protected:
    ~ListenerGateway() override {
        for (const auto& far : fars_) {
            if (!far->gone()) destroy(*far);
        }
    }

    /// A client that is let in, and put into these channels; with positions where it resumes.
    Far& enter(std::unique_ptr<Connection> connection, std::vector<Entrance::Channel> channels,
               std::shared_ptr<const Identity> identity = everything("ann")) {
        Far& far = *fars_.emplace_back(std::make_unique<Far>());
        far.connection = std::move(connection);
        auto entrance = std::make_unique<Entrance>();
        entrance->channels = std::move(channels);
        far.connection->enter_by(std::move(entrance));
        gateway().open(*far.connection, std::move(identity));
        run();
        return far;
    }

    Far& stream(StreamWire::Kind kind, std::vector<Entrance::Channel> channels) {
        std::unique_ptr<ChannelPositions> positions;
        if (kind == StreamWire::Kind::sse && channels.size() > 1) {
            positions = std::make_unique<ChannelPositions>();
            for (const auto& channel : channels) {
                if (channel.position) positions->set(channel.name, *channel.position);
            }
        }
        return enter(std::make_unique<StreamConnection>(gateway(), endpoint, wire_of(kind), std::move(positions)),
                     std::move(channels));
    }
    Far& poll(std::vector<Entrance::Channel> channels, bool at_once = false) {
        PollConnection::Terms terms{channels.size(), {}, at_once};
        for (const auto& channel : channels) {
            if (channel.position) terms.positions.set(channel.name, *channel.position);
        }
        return enter(
            std::make_unique<PollConnection>(gateway(), endpoint, wire_of(StreamWire::Kind::poll), std::move(terms)),
            std::move(channels));
    }

    StreamWire& wire_of(StreamWire::Kind kind) { return *wires_.at(static_cast<std::size_t>(kind)); }

private:
    void flush(Connection& connection) override {
        Far& far = **std::ranges::find(fars_, &connection, [](const auto& one) { return one->connection.get(); });
        if (connection.phase() == Connection::Phase::aborted) return destroy(far);
        if (auto* const poll = dynamic_cast<PollConnection*>(&connection)) return answer(far, *poll);
        char scratch[4096];
        while (!connection.queue().empty() && far.room > 0) {
            const std::string_view next = connection.next_bytes(scratch, sizeof(scratch));
            const std::size_t size = std::min(next.size(), far.room);
            far.bytes.append(next.data(), size);
            if (far.room != SIZE_MAX) far.room -= size;
            connection.on_written(size);
        }
        if (!connection.queue().empty()) connection.on_blocked();
        if (connection.phase() == Connection::Phase::aborted ||
            (connection.queue().empty() && connection.phase() == Connection::Phase::finished)) {
            destroy(far);
        }
    }
    void answer(Far& far, PollConnection& poll) {
        if (!poll.collect()) return;
        far.answer = poll.news() ? poll.answer() : std::string();
        far.position = poll.position();
        poll.on_answered();
        destroy(far);
    }
    void visit(const std::function<void(Connection&)>& visit) override {
        for (const auto& far : fars_) {
            if (!far->gone()) visit(*far->connection);
        }
    }
    void read_on(Connection&) override {}
    void destroy(Far& far) {
        far.close_code = far.connection->close_code();
        far.closed_by_peer = far.connection->closed_by_peer();
        gateway().remove(*far.connection);
        far.connection.reset();
    }

    JsonCodec json_;
    std::array<std::unique_ptr<StreamWire>, 3> wires_{StreamWire::make(StreamWire::Kind::sse, 1, json_),
                                                      StreamWire::make(StreamWire::Kind::lines, 2, json_),
                                                      StreamWire::make(StreamWire::Kind::poll, 3, json_)};
    std::vector<std::unique_ptr<Far>> fars_;
};

}  // namespace weft::test

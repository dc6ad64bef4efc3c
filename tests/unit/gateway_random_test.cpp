// Many random things in a row, against a real broker: what each client sees must make sense in itself, and when all is
// quiet the gauges must say what is.
#include <map>
#include <set>

#include "unit/gateway_fixture.hpp"
#include "weft/position.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

constexpr std::size_t kChannels = 5;

std::string channel_of(std::size_t i) {
    return "chat:" + std::to_string(i);
}

/// What one client knows of one channel, from what it was sent.
struct View {
    bool in = false;
    bool echo = true;
    bool told_of_gap = false;  // since the last event or subscribed
    Position::Entry last{};    // where it stands
};

struct RandomClient {
    Client* client;
    std::map<std::string, View> channels;
    std::map<std::string, std::pair<std::string, bool>> asked;  // subscribes by id: the channel, echo
};

struct RandomObserver final : RequestObserver {
    int heard = 0;
    bool cancelled = false;
    void on_answer(const ServerFrame&) override { ++heard; }
};

class RandomWorld : public BrokerWorld {
public:
    explicit RandomWorld(std::uint32_t seed) : dice_(seed) {
        small_.send_queue = 3'000;
        small_.rate = endpoint.rate = {};
        endpoint.heartbeat = 20s;
        scratch_size = 512;
        weftd.on_sent = [this](const v1::Frame& frame) {
            if (!frame.has_publication()) return;
            const v1::Publication& out = frame.publication();
            publishers_[{out.channel(), out.position()}] = out.publisher().client_id();
        };
        link_up();
    }

    void step() {
        switch (below(24)) {
            case 0:
            case 1: return connect_one();
            case 2:
            case 3:
            case 4: return subscribe_one();
            case 5: return say_to_one(unsubscribe(any_channel(), next_id()));
            case 6:
            case 7:
            case 8:
            case 9: return publish_one();
            case 10: return say_to_one(send_signal(any_channel(), below(2) == 0 ? "" : next_id(), "typing"));
            case 11: return say_to_one(below(2) == 0 ? rpc("weft.echo", next_id(), R"(,"params":[1])") : ping("p"));
            case 12: return publish_from_behind();
            case 13: return end_one();
            case 14:
                if (RandomClient* one = any()) one->client->room = below(3) == 0 ? SIZE_MAX : below(2'000);
                return;
            case 15:
                if (RandomClient* one = any()) flush_now(*one->client);
                return;
            case 16: return void(carry_out());
            case 17: return void(carry_in());
            case 18: return void(end_turn());
            case 19: return run();
            case 20: return pass(std::chrono::milliseconds(below(500)));
            case 21:
                if (below(6) == 0) cut_link();
                return;
            default: return look();
        }
    }

    /// All sockets take everything, and all answers come.
    void come_to_rest() {
        link_up();
        for (RandomClient& one : all_) {
            one.client->room = SIZE_MAX;
            flush_now(*one.client);
        }
        run();
        look();
        std::size_t subscriptions = 0;
        std::size_t connections = 0;
        std::set<std::string> channels;
        for (const RandomClient& one : all_) {
            if (one.client->closed()) continue;
            ++connections;
            EXPECT_EQ(one.client->bytes, "") << "half a frame";
            if (one.client->socket->phase() != Connection::Phase::open) continue;
            EXPECT_EQ(one.asked.size(), 0U) << "a subscribe that was never answered";
            for (const auto& [name, view] : one.channels) {
                if (!view.in) continue;
                ++subscriptions;
                channels.insert(name);
            }
        }
        EXPECT_EQ(counters.active.value(), connections);
        EXPECT_EQ(gateway().connections(), connections);
        EXPECT_EQ(counters.subscriptions.value(), subscriptions);
        EXPECT_EQ(counters.channels.value(), channels.size());
        EXPECT_EQ(counters.pending.value(), 0U);
        EXPECT_EQ(weftd.broker().counts().ignored, 0U);
        for (const auto& observer : observers_) EXPECT_EQ(observer->heard, observer->cancelled ? 0 : 1);
        observers_.clear();
        for (std::size_t i = 0; i < kChannels; ++i) expect_reaches_all_in(channel_of(i));
    }

    void hang_up_all() {
        for (RandomClient& one : all_) hang_up(*one.client);
        run();
        pass(100ms);
        EXPECT_EQ(counters.active.value(), 0U);
        EXPECT_EQ(counters.subscriptions.value(), 0U);
        EXPECT_EQ(counters.channels.value(), 0U);
        EXPECT_EQ(counters.pending.value(), 0U);
        EXPECT_EQ(gateway().wheel().size(), 0U);
    }

private:
    std::size_t below(std::size_t n) { return dice_() % n; }
    std::string next_id() { return std::to_string(++ids_); }
    std::string any_channel() { return channel_of(below(kChannels)); }
    RandomClient* any() {
        if (all_.empty()) return nullptr;
        RandomClient& one = all_[below(all_.size())];
        return one.client->closed() ? nullptr : &one;
    }
    void say_to_one(const std::string& json) {
        if (RandomClient* one = any()) say(*one->client, json);
    }

    void connect_one() {
        std::erase_if(all_, [](const RandomClient& one) { return one.client->closed(); });
        if (all_.size() >= 12) return;
        Client& client = accept(below(2) == 0 ? endpoint : small_, wire);
        gateway().open(*client.socket, everything("u"));
        client.id = client.socket->client_id();
        all_.push_back({&client, {}, {}});
    }

    void subscribe_one() {
        RandomClient* one = any();
        if (one == nullptr || one->client->socket->phase() != Connection::Phase::open) return;
        const std::string id = next_id();
        const std::string channel = any_channel();
        const bool echo = below(3) != 0;
        one->asked[id] = {channel, echo};
        say(*one->client, subscribe(channel, id, echo ? R"(,"position":"k.1")" : R"(,"echo":false)"));
    }

    void publish_one() {
        RandomClient* one = any();
        if (one == nullptr) return;
        const std::string data = '"' + std::string(below(8) == 0 ? 700 : 10, 'x') + '"';
        for (std::size_t n = 1 + below(4); n > 0; --n) {
            say(*one->client, publish(any_channel(), below(2) == 0 ? "" : next_id(), data));
        }
    }

    void publish_from_behind() {
        RandomObserver& observer = *observers_.emplace_back(std::make_unique<RandomObserver>());
        gateway().publish(any_channel(), "0", {}, observer);
        RandomObserver& other = *observers_[below(observers_.size())];
        if (other.heard > 0 || below(3) != 0) return;
        gateway().cancel(other);
        other.cancelled = true;
    }

    void end_one() {
        RandomClient* one = any();
        if (one == nullptr) return;
        switch (below(6)) {
            case 0: return hang_up(*one->client);
            case 1: return one->client->socket->end(Code::revoked);
            case 2: return receive(*one->client, client_frame(Opcode::close, close_payload(1000)));
            case 3: return receive(*one->client, std::string("\xff\x00", 2));
            case 4: return one->client->socket->drain(clock.now + 100ms, 200ms);
            default: one->client->breaks = true; return;
        }
    }

    void cut_link() {
        carry_out();
        link_down();
        if (below(2) == 0) {
            weftd.listener().on_unreachable(clock.now);
            if (below(2) == 0) weftd.restart();
        }
        for (std::size_t n = below(8); n > 0; --n) step_without_link();
        link_up();
    }
    void step_without_link() {
        switch (below(5)) {
            case 0: return subscribe_one();
            case 1: return say_to_one(unsubscribe(any_channel(), next_id()));
            case 2: return publish_one();
            case 3: return publish_from_behind();
            default: return void(end_turn());
        }
    }

    // --- what clients see -----------------------------------------------------------------------------------------

    void look() {
        for (RandomClient& one : all_) {
            one.client->take();
            for (const std::string& text : one.client->texts) see(one, text);
        }
    }

    static Position::Entry entry_of(const std::string& text) {
        const auto position = Position::parse(text);
        if (!position || position->entries().size() != 1) {
            ADD_FAILURE() << "a lone node has one stream a channel: " << text;
            return {};
        }
        return position->entries().front();
    }

    void see(RandomClient& one, const std::string& text) {
        const std::string type = json_at(text, "/type");
        const std::string id = json_at(text, "/id");
        const std::string channel = json_at(text, "/payload/channel");
        View& view = one.channels[channel];
        if (type == "subscribed") {
            const auto asked = one.asked.find(id);
            ASSERT_NE(asked, one.asked.end()) << text;
            ASSERT_EQ(asked->second.first, channel);
            const Position::Entry stands = entry_of(json_at(text, "/payload/position"));
            if (view.in && view.echo && !view.told_of_gap) {
                EXPECT_EQ(stands, view.last) << "subscribed again behind what was delivered: " << text;
            }
            view = {true, asked->second.second, false, stands};
            one.asked.erase(asked);
        } else if (type == "unsubscribed") {
            EXPECT_TRUE(view.in || !id.empty()) << text;
            view.in = false;
        } else if (type == "error") {
            one.asked.erase(id);
        } else if (type == "gap") {
            EXPECT_TRUE(view.in) << text;
            view.told_of_gap = true;
        } else if (type == "signal") {
            EXPECT_TRUE(view.in) << text;
        } else if (type == "event") {
            see_event(one, view, channel, json_at(text, "/payload/position"));
        }
    }

    void see_event(const RandomClient& one, View& view, const std::string& channel, const std::string& position) {
        SCOPED_TRACE(testing::Message() << channel << " at " << position);
        EXPECT_TRUE(view.in) << "an event of a channel that the client isn't in";
        const Position::Entry stands = entry_of(position);
        const auto publisher = publishers_.find({channel, position});
        ASSERT_NE(publisher, publishers_.end());
        EXPECT_TRUE(view.echo || publisher->second != one.client->id) << "an echo that wasn't wanted";
        if (!view.told_of_gap) {
            EXPECT_EQ(stands.stream, view.last.stream) << "another stream without a word";
            for (std::uint64_t missed = view.last.number + 1; missed < stands.number; ++missed) {
                Position at;
                at.set(stands.stream, missed);
                const auto skipped = publishers_.find({channel, at.text()});
                ASSERT_NE(skipped, publishers_.end());
                EXPECT_TRUE(!view.echo && skipped->second == one.client->id) << at.text() << " is missing";
            }
            EXPECT_GT(stands.number, view.last.number) << "twice, or out of order";
        }
        view.last = stands;
        view.told_of_gap = false;
    }

    void expect_reaches_all_in(const std::string& channel) {
        RandomObserver observer;
        gateway().publish(channel, "\"all\"", {}, observer);
        run();
        EXPECT_EQ(observer.heard, 1);
        for (RandomClient& one : all_) {
            std::size_t got = 0;
            one.client->take();
            for (const std::string& text : one.client->texts) {
                see(one, text);
                got += json_at(text, "/payload/data") == "all" ? 1 : 0;
            }
            const bool open = !one.client->closed() && one.client->socket->phase() == Connection::Phase::open;
            EXPECT_EQ(got, open && one.channels[channel].in ? 1U : 0U) << channel;
        }
    }

    std::minstd_rand dice_;
    EndpointSettings small_;
    std::uint64_t ids_ = 0;
    std::vector<RandomClient> all_;
    std::vector<std::unique_ptr<RandomObserver>> observers_;
    std::map<std::pair<std::string, std::string>, std::uint64_t> publishers_;  // by channel and position
};

TEST(GatewayRandom, MakesSenseToEveryClientWhateverHappens) {
    for (std::uint32_t seed = 1; seed <= 25; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        RandomWorld world(seed);
        for (int round = 0; round < 10; ++round) {
            for (int i = 0; i < 200; ++i) world.step();
            world.come_to_rest();
            if (testing::Test::HasFailure()) return;
        }
        world.hang_up_all();
    }
}

}  // namespace
}  // namespace weft

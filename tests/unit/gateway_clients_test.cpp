// What a worker says of its connections when weftd asks.
#include "unit/listener_fixture.hpp"

namespace weft {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the fixture's words

class GatewayClients : public ScriptedGateway {
protected:
    GatewayClients() {
        weftd.on_frame = [this](const v1::Frame& frame) {
            if (frame.has_clients_page()) pages_.push_back(frame.clients_page());
        };
    }
    v1::ClientsPage read(const std::function<void(v1::ReadClients&)>& fill = [](v1::ReadClients&) {}) {
        v1::Frame frame;
        frame.mutable_read_clients()->set_request(7);
        frame.mutable_read_clients()->set_limit(100);
        fill(*frame.mutable_read_clients());
        pages_.clear();
        weftd.send(frame);
        run();
        EXPECT_EQ(pages_.size(), 1U);
        if (pages_.empty()) return {};
        EXPECT_EQ(pages_.front().request(), 7U);
        return pages_.front();
    }
    /// "ann bob": the users of a page in order of their ids.
    static std::string users(const v1::ClientsPage& page) {
        std::string text;
        for (const v1::ClientInfo& client : page.clients()) text += (text.empty() ? "" : " ") + client.user();
        return text;
    }
    static std::vector<std::uint64_t> ids(const v1::ClientsPage& page) {
        std::vector<std::uint64_t> ids;
        for (const v1::ClientInfo& client : page.clients()) ids.push_back(client.client_id());
        return ids;
    }
    /// All pages of so many.
    std::vector<std::uint64_t> page_through(
        std::uint32_t limit, const std::function<void()>& between = [] {}) {
        std::vector<std::uint64_t> all;
        for (std::uint64_t after = 0;;) {
            const v1::ClientsPage page = read([&](auto& read) {
                read.set_limit(limit);
                read.set_after(after);
            });
            EXPECT_LE(page.clients_size(), static_cast<int>(limit));
            for (const std::uint64_t id : ids(page)) all.push_back(id);
            after = page.horizon();
            if (after == 0) return all;
            between();
        }
    }

private:
    std::vector<v1::ClientsPage> pages_;
};

TEST_F(GatewayClients, SaysThatItAnswers) {
    bool says = false;
    ScriptedWeftd other(clock);
    link_down();
    gateway().link().on_connected(clock.now);
    std::string batch;
    while (gateway().link().next_batch(batch, clock.now)) {
        v1::Batch parsed;
        ASSERT_TRUE(parsed.ParseFromString(batch));
        for (const v1::Frame& frame : parsed.frames()) says = says || frame.hello().clients();
    }
    EXPECT_TRUE(says);
}

TEST_F(GatewayClients, TellsWhatItKnowsOfAConnection) {
    auto identity = std::const_pointer_cast<Identity>(everything("ann"));
    identity->since = clock.wall - 5s;
    identity->expires_at = clock.wall + 60s;
    Client& ann = connect(identity, endpoint, wire);
    ask(ann, subscribe("chat:a", "1"));
    ask(ann, subscribe("chat:b", "2"));
    ann.room = 10;
    weftd.send(publication("chat:a", "\"" + std::string(500, 'x') + "\"", "k.1"));
    run();
    const v1::ClientsPage page = read();
    ASSERT_EQ(page.clients_size(), 1);
    EXPECT_EQ(page.horizon(), 0U);
    const v1::ClientInfo& told = page.clients(0);
    EXPECT_EQ(told.client_id(), ann.id);
    EXPECT_EQ(told.user(), "ann");
    EXPECT_EQ(told.node(), "") << "weftd knows";
    EXPECT_EQ(told.transport(), "websocket");
    EXPECT_EQ(told.codec(), "json");
    EXPECT_EQ(told.since_ms(), (clock.wall - 5s).time_since_epoch().count());
    EXPECT_EQ(told.expires_ms(), (clock.wall + 60s).time_since_epoch().count());
    EXPECT_EQ(told.subscriptions(), 2U);
    EXPECT_EQ(told.queued_bytes(), ann.socket->queue().bytes());
    EXPECT_GT(told.queued_bytes(), 490U);
}

TEST_F(GatewayClients, LeavesOutWhatThereIsNoneOf) {
    Client& nobody = connect(everything(""), endpoint, wire);
    EndpointSettings echo = endpoint;
    echo.echo = true;
    Client& mirrored = accept(echo, wire);
    gateway().open(*mirrored.socket, everything("echo"));
    Client& unknown = accept(endpoint, wire);
    gateway().await_auth(*unknown.socket);
    run();
    std::map<std::uint64_t, v1::ClientInfo> told;
    const v1::ClientsPage page = read();
    for (const v1::ClientInfo& client : page.clients()) told[client.client_id()] = client;
    ASSERT_EQ(told.size(), 3U);
    const v1::ClientInfo& first = told.at(nobody.id);
    EXPECT_EQ(first.user(), "");
    EXPECT_EQ(first.since_ms(), 0) << "it showed no credentials";
    EXPECT_EQ(first.expires_ms(), 0);
    EXPECT_EQ(told.at(mirrored.socket->client_id()).codec(), "") << "messages go back as they came";
    EXPECT_EQ(told.at(unknown.socket->client_id()).user(), "") << "who has yet to say who it is";
}

TEST_F(GatewayClients, LeavesOutWhoIsOnTheWayOut) {
    Client& ann = connect("ann");
    connect("bob");
    ann.socket->end(Code::revoked);
    EXPECT_EQ(users(read()), "bob");
    Client& refused = accept(endpoint, wire);
    gateway().refuse(*refused.socket, {Code::authentication_failed, "no", {}});
    EXPECT_EQ(users(read()), "bob");
}

TEST_F(GatewayClients, PagesInTheOrderOfIds) {
    std::vector<std::uint64_t> all;
    for (int i = 0; i < 23; ++i) all.push_back(connect("user-" + std::to_string(i)).id);
    std::ranges::sort(all);
    for (const std::uint32_t limit : {1U, 4U, 22U, 23U, 24U}) EXPECT_EQ(page_through(limit), all) << limit;
}

TEST_F(GatewayClients, NeitherLosesNorRepeatsThoseThatStayWhileOthersComeAndGo) {
    std::vector<std::uint64_t> stay;
    for (int i = 0; i < 40; ++i) stay.push_back(connect("stays").id);
    std::ranges::sort(stay);
    std::vector<Client*> fleeting;
    std::vector<std::uint64_t> seen = page_through(3, [&] {
        for (int i = 0; i < 5; ++i) fleeting.push_back(&connect("comes"));
        for (std::size_t i = 0; i < fleeting.size(); i += 2) remove_now(*fleeting[i]);
        for (Client* const client : fleeting) {
            if (!client->closed()) hang_up(*client);
        }
        run();
        fleeting.clear();
    });
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end()) << "none comes twice";
    std::vector<std::uint64_t> found;
    std::ranges::set_intersection(seen, stay, std::back_inserter(found));
    EXPECT_EQ(found, stay);
}

TEST_F(GatewayClients, GoesThroughNoMoreThanAPageHowManyEverAreAskedFor) {
    for (std::uint32_t i = 0; i < Survey::kMaxLimit + 5; ++i) connect("many");
    const v1::ClientsPage page = read([](auto& read) { read.set_limit(1'000'000); });
    EXPECT_EQ(page.clients_size(), static_cast<int>(Survey::kMaxLimit));
    EXPECT_EQ(page.horizon(), page.clients(page.clients_size() - 1).client_id());
    EXPECT_EQ(read([](auto& read) { read.set_limit(0); }).clients_size(), 1) << "weftd says how many";
}

TEST_F(GatewayClients, FindsThoseOfAUser) {
    const std::uint64_t one = connect("ann").id, two = connect("ann").id;
    connect("bob");
    std::vector<std::uint64_t> hers{one, two};
    std::ranges::sort(hers);
    EXPECT_EQ(ids(read([](auto& read) { read.set_user("ann"); })), hers);
    EXPECT_EQ(ids(read([](auto& read) { read.set_user("an"); })), std::vector<std::uint64_t>{});
}

TEST_F(GatewayClients, FindsThoseInAChannelWithoutLookingAtAll) {
    Client& ann = connect("ann");
    Client& bob = connect("bob");
    connect("eve");
    ask(ann, subscribe("chat:a", "1"));
    ask(bob, subscribe("chat:a", "1"));
    weftd.answers = false;
    say(bob, subscribe("chat:asked", "2"));
    run();
    const std::size_t before = visits;
    std::vector<std::uint64_t> both{ann.id, bob.id};
    std::ranges::sort(both);
    EXPECT_EQ(ids(read([](auto& read) { read.set_channel("chat:a"); })), both);
    const auto of_bob = [](auto& read) {
        read.set_channel("chat:a");
        read.set_user("bob");
    };
    EXPECT_EQ(users(read(of_bob)), "bob");
    EXPECT_EQ(users(read([](auto& read) { read.set_channel("chat:asked"); })), "") << "it isn't in there yet";
    EXPECT_EQ(users(read([](auto& read) { read.set_channel("chat:nobody"); })), "");
    EXPECT_EQ(visits, before);
}

TEST_F(GatewayClients, FindsThoseInAChannelThatAreStillSentWhatTheyMissed) {
    Client& ann = connect("ann");
    weftd.answers = false;
    say(ann, resume("chat:kept", "1", "k.1"));
    run();
    v1::Frame kept = subscribed("chat:kept", "k.9");
    kept.mutable_subscribed()->set_history(true);
    weftd.send(kept);
    run();
    EXPECT_EQ(users(read([](auto& read) { read.set_channel("chat:kept"); })), "ann");
}

TEST_F(GatewayClients, SaysNothingWhileItsLinkIsFull) {
    connect("ann");
    link_stuck = true;
    BackEnd back_end;
    const std::string much = '"' + std::string(kMaxData - 2, 'x') + '"';
    while (gateway().link().queued_bytes() < Gateway::kMaxLinkBytes) {
        gateway().publish("chat:a", much, {}, back_end);
        ASSERT_EQ(back_end.heard, Lines{});
    }
    const std::size_t queued = gateway().link().queued_bytes();
    v1::Frame frame;
    frame.mutable_read_clients()->set_request(1);
    weftd.send(frame);
    carry_in();
    EXPECT_EQ(gateway().link().queued_bytes(), queued);
}

class GatewayListeners : public ListenerGateway {};

TEST_F(GatewayListeners, AreToldByTheirDoors) {
    stream(StreamWire::Kind::sse, {{"chat:a", {}}});
    stream(StreamWire::Kind::lines, {{"chat:a", {}}});
    poll({{"chat:b", "k.0"}});
    Lines doors;
    weftd.on_frame = [&](const v1::Frame& frame) {
        for (const v1::ClientInfo& client : frame.clients_page().clients()) {
            doors.push_back(client.transport() + " " + client.codec() + " " + std::to_string(client.subscriptions()));
        }
    };
    v1::Frame frame;
    frame.mutable_read_clients()->set_limit(10);
    deliver({frame});
    std::ranges::sort(doors);
    EXPECT_EQ(doors, (Lines{"poll json 1", "sse json 1", "stream json 1"}));
}

}  // namespace
}  // namespace weft

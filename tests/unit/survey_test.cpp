// Answers of shards and nodes, put together; and the names of a node's channels in order.
#include "weft/survey.hpp"

#include <gtest/gtest.h>

#include <random>

#include "broker/subscriber_counts.hpp"

namespace weft {
namespace {

v1::ChannelsPage page_of(const std::vector<std::pair<std::string, std::uint64_t>>& channels,
                         const std::string& horizon = {}) {
    v1::ChannelsPage page;
    for (const auto& [name, subscribers] : channels) {
        auto& entry = *page.add_channels();
        entry.set_channel(name);
        entry.set_subscribers(subscribers);
    }
    page.set_horizon(horizon);
    return page;
}

std::string text_of(const v1::ChannelsPage& page) {
    std::string text;
    for (const auto& entry : page.channels()) text += entry.channel() + "=" + std::to_string(entry.subscribers()) + " ";
    return text + (page.horizon().empty() ? "end" : "> " + page.horizon());
}

TEST(MergeChannels, AddsUpSubscribersInTheOrderOfNames) {
    const v1::ChannelsPage pages[] = {page_of({{"b", 1}, {"d", 2}}), page_of({{"a", 5}, {"d", 3}})};
    EXPECT_EQ(text_of(merge_channels(pages, 10)), "a=5 b=1 d=5 end");
}

TEST(MergeChannels, EndsWhereTheFirstOfThemHasNotLookedFurther) {
    const v1::ChannelsPage pages[] = {page_of({{"a", 1}, {"c", 1}}, "c"), page_of({{"b", 1}, {"c", 1}, {"d", 1}})};
    EXPECT_EQ(text_of(merge_channels(pages, 10)), "a=1 b=1 c=2 > c") << "d may have more subscribers at the first";
    const v1::ChannelsPage short_of[] = {page_of({}, "c"), page_of({{"d", 1}})};
    EXPECT_EQ(text_of(merge_channels(short_of, 10)), "> c") << "an empty page that isn't the last";
}

TEST(MergeChannels, CutsAtTheLimitAndGoesOnBehindIt) {
    const v1::ChannelsPage pages[] = {page_of({{"a", 1}, {"b", 1}}, "b"), page_of({{"a", 1}, {"c", 1}})};
    EXPECT_EQ(text_of(merge_channels(pages, 1)), "a=2 > a");
}

TEST(MergeChannels, NamesANodeAsMissingWhenOneOfItsShardsIs) {
    v1::ChannelsPage pages[2];
    pages[0].add_nodes("a");
    pages[0].add_nodes("b");
    pages[1].add_nodes("a");
    pages[1].add_missing("b");
    const v1::ChannelsPage all = merge_channels(pages, 10);
    ASSERT_EQ(all.nodes_size(), 1);
    EXPECT_EQ(all.nodes(0), "a");
    ASSERT_EQ(all.missing_size(), 1);
    EXPECT_EQ(all.missing(0), "b");
}

v1::ClientsPage clients_of(const std::vector<std::uint64_t>& ids, std::uint64_t horizon = 0) {
    v1::ClientsPage page;
    for (const std::uint64_t id : ids) {
        page.add_clients()->set_client_id(id);
        page.mutable_clients(page.clients_size() - 1)->set_user("user-" + std::to_string(id));
    }
    page.set_horizon(horizon);
    return page;
}

std::string text_of(const v1::ClientsPage& page) {
    std::string text;
    for (const auto& client : page.clients()) {
        EXPECT_EQ(client.user(), "user-" + std::to_string(client.client_id())) << "with all that is said of it";
        text += std::to_string(client.client_id()) + " ";
    }
    return text + (page.horizon() == 0 ? "end" : "> " + std::to_string(page.horizon()));
}

TEST(MergeClients, PutsThemInTheOrderOfIds) {
    const v1::ClientsPage pages[] = {clients_of({2, 4}), clients_of({1, 3, 9}), clients_of({})};
    EXPECT_EQ(text_of(merge_clients(pages, 10)), "1 2 3 4 9 end");
}

TEST(MergeClients, EndsWhereTheFirstOfThemHasNotLookedFurther) {
    const v1::ClientsPage pages[] = {clients_of({1, 4}, 4), clients_of({2, 4'000'000'000}), clients_of({3, 5}, 5)};
    EXPECT_EQ(text_of(merge_clients(pages, 10)), "1 2 3 4 > 4") << "5 may not be the next of the first";
    const v1::ClientsPage empty[] = {clients_of({}, 3), clients_of({4})};
    EXPECT_EQ(text_of(merge_clients(empty, 10)), "> 3") << "an empty page that isn't the last";
}

TEST(MergeClients, CutsAtTheLimitAndGoesOnBehindIt) {
    const v1::ClientsPage pages[] = {clients_of({1, 5}), clients_of({2, 3}, 3)};
    EXPECT_EQ(text_of(merge_clients(pages, 2)), "1 2 > 2");
    EXPECT_EQ(text_of(merge_clients(pages, 3)), "1 2 3 > 3");
    const v1::ClientsPage last[] = {clients_of({1}), clients_of({2})};
    EXPECT_EQ(text_of(merge_clients(last, 2)), "1 2 end") << "nothing is behind it";
}

TEST(MergeClients, TellsOnceOfAConnectionThatTwoSayTheyHave) {
    const v1::ClientsPage pages[] = {clients_of({1, 2}), clients_of({2, 3})};
    EXPECT_EQ(text_of(merge_clients(pages, 10)), "1 2 3 end");
    EXPECT_EQ(text_of(merge_clients(pages, 2)), "1 2 > 2");
}

TEST(MergeClients, ComesToTheSameHoweverPagesArePutTogether) {
    std::mt19937_64 random{1};
    for (int round = 0; round < 200; ++round) {
        // Workers with connections of their own; each says a page.
        std::vector<std::uint64_t> all;
        std::vector<v1::ClientsPage> pages;
        const std::size_t limit = 1 + random() % 5;
        for (std::size_t worker = 0; worker < 4; ++worker) {
            std::vector<std::uint64_t> ids;
            for (std::size_t i = 0; i < random() % 8; ++i) ids.push_back(1 + random() % 1'000'000);
            std::ranges::sort(ids);
            all.insert(all.end(), ids.begin(), ids.end());
            const bool more = ids.size() > limit;
            if (more) ids.resize(limit);
            pages.push_back(clients_of(ids, more ? ids.back() : 0));
        }
        std::ranges::sort(all);
        const bool more = all.size() > limit;
        if (more) all.resize(limit);
        const std::string expected = text_of(clients_of(all, more ? all.back() : 0));
        EXPECT_EQ(text_of(merge_clients(pages, limit)), expected);
        v1::Frame one_by_one;
        for (const v1::ClientsPage& page : pages) {
            v1::Frame frame;
            *frame.mutable_clients_page() = page;
            merge_page(one_by_one, frame, limit);
        }
        EXPECT_EQ(text_of(one_by_one.clients_page()), expected);
    }
}

TEST(MergePage, PutsPagesOfAKindTogetherAndIgnoresOthers) {
    v1::Frame all, clients, channels, nodes;
    *clients.mutable_clients_page() = clients_of({1});
    *channels.mutable_channels_page() = page_of({{"a", 1}});
    nodes.mutable_nodes_page()->add_nodes()->set_node("a");
    merge_page(all, channels, 10);
    merge_page(all, clients, 10);
    merge_page(all, {}, 10);
    merge_page(all, channels, 10);
    EXPECT_EQ(text_of(all.channels_page()), "a=2 end");
    all = nodes;
    merge_page(all, channels, 10);
    nodes.mutable_nodes_page()->mutable_nodes(0)->set_node("b");
    merge_page(all, nodes, 10);
    ASSERT_TRUE(all.has_nodes_page());
    EXPECT_EQ(all.nodes_page().nodes_size(), 2);
}

TEST(MergeNodes, AddsUpShardsOfOneNodeAndKeepsWhoAnswersFirst) {
    v1::NodesPage pages[2];
    for (v1::NodesPage& page : pages) {
        for (const char* name : {"b", "a"}) {
            v1::NodeInfo& node = *page.add_nodes();
            node.set_node(name);
            node.set_up(true);
            node.set_workers(2);
            node.set_channels(3);
            node.set_published(10);
        }
    }
    pages[1].mutable_nodes(1)->set_up(false);
    const v1::NodesPage all = merge_nodes(pages);
    ASSERT_EQ(all.nodes_size(), 2);
    EXPECT_EQ(all.nodes(0).node(), "b");
    EXPECT_TRUE(all.nodes(0).up());
    EXPECT_EQ(all.nodes(0).workers(), 2U) << "each worker has a link to every shard";
    EXPECT_EQ(all.nodes(0).channels(), 6U);
    EXPECT_EQ(all.nodes(0).published(), 20U);
    EXPECT_FALSE(all.nodes(1).up()) << "one of its shards is away";
}

// --- a node's channels
// ------------------------------------------------------------------------------------------------

constexpr LinkId kWorker = 1, kOther = 2;

class SubscriberCountsTest : public testing::Test {
protected:
    SubscriberCountsTest() {
        counts.on_worker_up(kWorker);
        counts.on_worker_up(kOther);
    }
    Channel& channel(const std::string& name) { return *table.find_or_create(name); }
    std::string read(const char* pattern, std::string_view after = {}, std::size_t limit = 1000) {
        v1::ChannelsPage page;
        std::optional<ChannelPattern> parsed;
        if (pattern != nullptr) parsed = *ChannelPattern::parse(pattern);
        counts.read(parsed ? &*parsed : nullptr, after, limit, page);
        return text_of(page);
    }
    std::mt19937_64 random{1};
    ChannelTable table{100'000, std::chrono::milliseconds(1000), [this] { return random(); }};
    SubscriberCounts counts;
};

TEST_F(SubscriberCountsTest, TakesOneForGrantedUntilAWorkerSaysMore) {
    counts.enter(kWorker, channel("b"));
    counts.enter(kOther, channel("b"));
    counts.enter(kOther, channel("a"));
    EXPECT_EQ(read(nullptr), "a=1 b=2 end");
    counts.set(kWorker, channel("b"), 7);
    EXPECT_EQ(read(nullptr), "a=1 b=8 end");
    counts.set(kWorker, channel("b"), 1);
    EXPECT_EQ(read(nullptr), "a=1 b=2 end");
    counts.set(kWorker, channel("b"), 3);
    counts.leave(kWorker, channel("b"));
    EXPECT_EQ(read(nullptr), "a=1 b=1 end") << "all that it said goes with it";
    counts.leave(kOther, channel("b"));
    EXPECT_EQ(read(nullptr), "a=1 end");
    EXPECT_EQ(counts.channels(), 1U);
    EXPECT_EQ(counts.subscriptions(), 1U);
}

TEST_F(SubscriberCountsTest, IgnoresLinksThatAreNoWorkers) {
    counts.enter(99, channel("a"));
    counts.set(99, channel("a"), 5);
    counts.leave(99, channel("a"));
    counts.set_connections(99, 5);
    EXPECT_EQ(read(nullptr), "end");
    EXPECT_EQ(counts.connections(), 0U);
}

TEST_F(SubscriberCountsTest, ForgetsTheConnectionsOfAWorkerThatIsGone) {
    counts.set_connections(kWorker, 5);
    counts.set_connections(kWorker, 4);
    counts.set_connections(kOther, 1);
    EXPECT_EQ(counts.connections(), 5U);
    counts.on_worker_down(kWorker);
    EXPECT_EQ(counts.connections(), 1U);
}

TEST_F(SubscriberCountsTest, PagesThroughThoseThatMatch) {
    for (const char* name : {"chat:a", "chat:b", "chat:c", "chat:c:d", "news:a", "a"})
        counts.enter(kWorker, channel(name));
    EXPECT_EQ(read("chat:*"), "chat:a=1 chat:b=1 chat:c=1 end");
    EXPECT_EQ(read("chat:*", {}, 2), "chat:a=1 chat:b=1 > chat:b");
    EXPECT_EQ(read("chat:*", "chat:b", 2), "chat:c=1 end");
    EXPECT_EQ(read("chat:**", "chat:b"), "chat:c=1 chat:c:d=1 end");
    EXPECT_EQ(read("*:a"), "chat:a=1 news:a=1 end");
    EXPECT_EQ(read("chat:*", "z"), "end");
    EXPECT_EQ(read(nullptr, {}, 6), "a=1 chat:a=1 chat:b=1 chat:c=1 chat:c:d=1 news:a=1 end");
}

TEST_F(SubscriberCountsTest, LooksAtABoundedNumberOfNamesForOnePage) {
    for (std::size_t i = 0; i < SubscriberCounts::kMaxExamined + 10; ++i) {
        counts.enter(kWorker, channel("x:" + std::to_string(100'000 + i)));
    }
    counts.enter(kWorker, channel("y:wanted"));
    const std::string last = "x:" + std::to_string(100'000 + SubscriberCounts::kMaxExamined - 1);
    EXPECT_EQ(read("*:wanted"), "> " + last) << "an empty page that isn't the last";
    EXPECT_EQ(read("*:wanted", last), "y:wanted=1 end");
}

}  // namespace
}  // namespace weft

// Marks, as two workers of a real weftd get them.
#include <gtest/gtest.h>

#include "e2e/test_link.hpp"
#include "e2e/weftd_process.hpp"

namespace weft::e2e {
namespace {

bool is_mark(const v1::Frame& frame) {
    return frame.has_marked();
}

/// Publications and marks, in order: "1 mark 2".
std::string order_of(const TestLink& link) {
    std::string text;
    for (const v1::Frame& frame : link.frames) {
        if (frame.has_publication()) text += frame.publication().data() + " ";
        if (frame.has_marked()) text += frame.marked().failed() ? "failed " : "mark ";
    }
    return text;
}

TEST(WeftdMarks, GoToTheTwoWorkersAndToNoTool) {
    Folder folder;
    const std::string endpoint = "ipc://" + folder.path("a.sock");
    WeftdProcess weftd{
        {"--config", folder.write("a.yaml", "node: a\nworkers: {listen: \"" + endpoint + "\", mode: \"0640\"}\n")}};
    ASSERT_TRUE(weftd.wait_for({"event=ready"})) << weftd.output();
    const v1::Hello old_hello = TestLink::worker("old/1"), new_hello = TestLink::worker("new/2");
    v1::Hello tool_hello = TestLink::worker("tool/3");
    tool_hello.set_kind(v1::Hello::TOOL);
    TestLink from(endpoint, old_hello), to(endpoint, new_hello), tool(endpoint, tool_hello);
    for (TestLink* const link : {&from, &to, &tool}) {
        ASSERT_TRUE(link->until_up());
        EXPECT_TRUE(link->welcome.marks());
        link->subscribe("chat:a");
        ASSERT_TRUE(link->until([&] { return link->subscribed("chat:a"); }));
    }

    const auto ask = [](TestLink& link, const v1::Hello& whom) {
        v1::Frame frame;
        frame.mutable_mark()->set_number(7);
        frame.mutable_mark()->set_to(whom.incarnation());
        link.dialer().send(frame);
    };
    from.publish("chat:a", "1");
    ask(from, new_hello);
    from.publish("chat:a", "2");
    ask(from, tool_hello);
    for (TestLink* const link : {&from, &to}) {
        ASSERT_TRUE(link->until([&] { return link->received("chat:a", "2") == 1; }));
        const v1::Frame* const mark = link->find(is_mark);
        ASSERT_NE(mark, nullptr);
        EXPECT_EQ(mark->marked().from(), old_hello.incarnation());
        EXPECT_EQ(mark->marked().to(), new_hello.incarnation());
        EXPECT_EQ(mark->marked().number(), 7u);
    }
    ASSERT_TRUE(from.until([&] { return order_of(from) == "1 mark 2 failed "; })) << order_of(from);
    EXPECT_EQ(order_of(to), "1 mark 2 ");

    ask(tool, new_hello);
    tool.publish("chat:a", "3");
    ASSERT_TRUE(tool.until([&] { return tool.received("chat:a", "3") == 1; }));
    ASSERT_TRUE(to.until([&] { return to.received("chat:a", "3") == 1; }));
    EXPECT_EQ(order_of(to), "1 mark 2 3 ");
    EXPECT_EQ(order_of(tool), "1 2 3 ");
}

}  // namespace
}  // namespace weft::e2e

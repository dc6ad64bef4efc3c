// Connections that move from one worker to another, with a real broker behind both: whatever the record says that one
// comes in, nothing crashes, hangs or takes more memory than was sent; and what a worker says of a connection makes the
// same connection in another one, which says the same of it.
//
// The input is a list of steps. The three low bits of a step's first byte say what it is, the others are its argument;
// the next two bytes are the size of what belongs to it, or a number:
//   0  an encoded MoveFrame for the worker: `leaving` makes connections that are expected, `moved` has one go on
//   1  somebody connects, at the door that the argument names; the number chooses compression and subprotocol
//   2  a client sends a text message      3  a client sends bytes of its own framing
//   4  the sockets take so many bytes     5  so many milliseconds pass
//   6  whoever can, moves to the other worker, from there to a third, and back: all say the same
// A client is named by the argument: the last one, or the one before it, and so on.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/moving_host.hpp"
#include "support/require.hpp"

namespace weft::test {
namespace {

constexpr std::size_t kMaxSteps = 128;
constexpr std::size_t kMaxConnections = 32;

struct Step {
    unsigned kind = 0;
    unsigned argument = 0;
    std::size_t number = 0;
    std::string_view bytes;

    static Step take(std::string_view& input) {
        const auto byte = [&input] {
            const auto value = static_cast<std::uint8_t>(input.empty() ? 0 : input.front());
            input.remove_prefix(input.empty() ? 0 : 1);
            return value;
        };
        Step step;
        const std::uint8_t first = byte();
        step.kind = first & 7;
        step.argument = first >> 3;
        step.number = byte();
        step.number |= std::size_t{byte()} << 8;
        if (step.kind == 0 || step.kind == 2 || step.kind == 3) {
            step.bytes = input.substr(0, step.number);
            input.remove_prefix(step.bytes.size());
        }
        return step;
    }
};

class Rig {
public:
    void run(std::string_view input) {
        for (std::size_t i = 0; i < kMaxSteps && !input.empty(); ++i) {
            const Step step = Step::take(input);
            taken_ += step.bytes.size();
            take(step);
            host_.run();
            check();
        }
        move_all();
        check();
        host_.take(SIZE_MAX);
        host_.pass(std::chrono::seconds(80));
        check();
    }

private:
    void take(const Step& step) {
        switch (step.kind) {
            case 0: return take_frame(step.bytes);
            case 1:
                if (one_.clients().size() < kMaxConnections) one_.connect(step.argument, step.number);
                return;
            case 2:
                if (MovingClient* client = one_.client(step.argument)) one_.say(*client, step.bytes);
                return;
            case 3:
                if (MovingClient* client = one_.client(step.argument)) one_.receive(*client, step.bytes);
                return;
            case 4: return host_.take(step.number);
            case 5: return host_.pass(std::chrono::milliseconds(step.number % 5000));
            case 6: return move_all();
            default: return;
        }
    }

    void take_frame(std::string_view bytes) {
        v1::MoveFrame frame;
        if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
        if (frame.has_leaving()) {
            for (const v1::Leaver& leaver : frame.leaving().leavers()) {
                if (one_.clients().size() < kMaxConnections) one_.expect(leaver);
            }
            host_.run();
            one_.slip_in_all();
        } else if (frame.has_moved()) {
            one_.resume(frame.moved());
        }
    }

    void move_all() {
        for (MovingClient* const client : one_.at_rest()) {
            host_.run();
            if (!one_.has(client) || !one_.can_move(*client)) continue;
            const auto first = host_.move(one_, *client, two_);
            const auto second = host_.move(two_, *first.client, three_);
            REQUIRE(second.record == first.record);
            const auto third = host_.move(three_, *second.client, one_);
            REQUIRE(third.record == first.record);
            one_.release(*third.client);
        }
        REQUIRE(two_.clients().empty() && three_.clients().empty());
    }

    // A queue holds what came in a record, the answers to what was said, and what others published: each is bound by
    // the input, apart from what is greeted and told without having been asked.
    void check() {
        std::size_t queued = 0;
        for (const auto& client : one_.clients()) queued += client->connection->queue().bytes();
        REQUIRE(queued <= (taken_ + 4096) * 64 * (kMaxConnections + 1));
    }

    MovingHost host_;
    MovingWorker& one_ = host_.worker(0);
    MovingWorker& two_ = host_.worker(1);
    MovingWorker& three_ = host_.worker(2);
    std::size_t taken_ = 0;  // bytes of the input
};

}  // namespace
}  // namespace weft::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::test::Rig rig;
    rig.run({reinterpret_cast<const char*>(data), size});
    return 0;
}

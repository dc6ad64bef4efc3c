#include "hook/hook_client.hpp"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>
#include <utility>

#include "call/hook_body.hpp"
#include "hook/transfer.hpp"

namespace weft {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestWait{1'000};
constexpr milliseconds kFirstPause{50};  // before a second try; three times as long before a third
constexpr std::size_t kMaxIdle = 256;    // transfers that are kept for the next calls

Instant clock_now() {
    return std::chrono::time_point_cast<Instant::duration>(std::chrono::steady_clock::now());
}

std::int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

struct HookClient::State {
    State(Targets given, std::uint64_t life, std::string name)
        : targets(std::move(given)), software(std::move(name)), id_prefix(client_id_text(life) + "-") {
        for (const Hook hook : kAllHooks) {
            const auto& target = targets[static_cast<std::size_t>(hook)];
            if (target) lanes[static_cast<std::size_t>(hook)].emplace(hook, target->lane);
        }
        curl_global_init(CURL_GLOBAL_DEFAULT);
        multi = curl_multi_init();
        if (multi == nullptr) throw std::bad_alloc();
        thread = std::thread([this] { run(); });
        pthread_setname_np(thread.native_handle(), "weftd-hooks");
    }

    ~State() {
        stopping = true;
        curl_multi_wakeup(multi);
        thread.join();
        for (auto& [handle, transfer] : running) curl_multi_remove_handle(multi, handle);
        running.clear();
        paused.clear();
        idle.clear();
        curl_multi_cleanup(multi);
        curl_global_cleanup();
    }

    void run() {
        while (!stopping) {
            const Instant now = clock_now();
            start_calls(now);
            start_again(now);
            int active = 0;
            curl_multi_perform(multi, &active);
            int rest = 0;
            while (const CURLMsg* message = curl_multi_info_read(multi, &rest)) {
                if (message->msg == CURLMSG_DONE) on_done(message->easy_handle, message->data.result);
            }
            const auto wait = until_next_turn(clock_now());
            if (wait.count() > 0) curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait.count()), nullptr);
        }
    }

    // At once when a call that has just ended makes room for one that waits.
    milliseconds until_next_turn(Instant now) {
        Instant next = now + kLongestWait;
        for (const Paused& one : paused) next = std::min(next, one.at);
        const std::scoped_lock lock(mutex);
        for (const auto& lane : lanes) {
            if (!lane) continue;
            if (lane->ready(now)) return milliseconds::zero();
            if (const auto deadline = lane->deadline()) next = std::min(next, *deadline);
        }
        return std::max(next - now, Instant::duration::zero());
    }

    void start_calls(Instant now) {
        for (auto& lane : lanes) {
            if (!lane) continue;
            while (auto taken = take(*lane, now)) {
                if (taken->verdict != CallOutcome::allowed) {
                    answer(taken->call, taken->verdict, {}, error_of(*lane, taken->verdict, now));
                    continue;
                }
                std::unique_ptr<Transfer> transfer;
                if (idle.empty()) {
                    transfer = std::make_unique<Transfer>();
                } else {
                    transfer = std::move(idle.back());
                    idle.pop_back();
                }
                const Target& target = *targets[static_cast<std::size_t>(taken->call.hook)];
                transfer->prepare(target, std::move(*taken), id_prefix + std::to_string(++last_id), software);
                start(std::move(transfer), now);
            }
        }
    }

    void start(std::unique_ptr<Transfer> transfer, Instant now) {
        transfer->begin(now, unix_now());
        CURL* const handle = transfer->handle();
        curl_multi_add_handle(multi, handle);
        running.emplace(handle, std::move(transfer));
    }

    void start_again(Instant now) {
        for (std::size_t i = 0; i < paused.size();) {
            if (paused[i].at > now) {
                ++i;
                continue;
            }
            std::unique_ptr<Transfer> transfer = std::move(paused[i].transfer);
            paused[i] = std::move(paused.back());
            paused.pop_back();
            start(std::move(transfer), now);
        }
    }

    void on_done(CURL* handle, CURLcode result) {
        const Instant now = clock_now();
        curl_multi_remove_handle(multi, handle);
        const auto place = running.find(handle);
        std::unique_ptr<Transfer> transfer = std::move(place->second);
        running.erase(place);
        Transfer::End end = transfer->end(result);
        const milliseconds pause = transfer->tries() == 1 ? kFirstPause : 3 * kFirstPause;
        if (end.again && transfer->tries() < kMaxTries && now + pause < transfer->call().until) {
            paused.push_back({now + pause, std::move(transfer)});
            return;
        }
        const HookCall& call = transfer->call().call;
        HookAnswer said;
        if (end.outcome == CallOutcome::allowed) {
            if (auto parsed = parse_hook_answer(call.hook, transfer->answer())) {
                said = std::move(*parsed);
                end.outcome = said.outcome;
            } else {
                end.outcome = CallOutcome::failed;
                end.why = std::move(parsed.error());
            }
        }
        CallError error;
        {
            const std::scoped_lock lock(mutex);
            HookLane& lane = *lanes[static_cast<std::size_t>(call.hook)];
            lane.finish(transfer->call(), end.outcome, now);
            error = lane.error_of(end.outcome, now);
        }
        if (end.retry_after.count() > 0) error.retry_after = end.retry_after;
        if (end.outcome == CallOutcome::allowed || end.outcome == CallOutcome::refused) {
            said.id = call.id;
            said.hook = call.hook;
            push(call.asker, std::move(said));
        } else {
            answer(call, end.outcome, std::move(end.why), std::move(error));
        }
        if (idle.size() < kMaxIdle) idle.push_back(std::move(transfer));
    }

    void answer(const HookCall& call, CallOutcome outcome, std::string why, CallError error) {
        HookAnswer answer;
        answer.id = call.id;
        answer.hook = call.hook;
        answer.outcome = outcome;
        answer.error = std::move(error);
        answer.why = std::move(why);
        push(call.asker, std::move(answer));
    }

    void push(std::size_t asker, HookAnswer answer) {
        const std::scoped_lock lock(askers_mutex);
        if (askers[asker] != nullptr) askers[asker]->push(std::move(answer));
    }

    std::optional<HookLane::Waiting> take(HookLane& lane, Instant now) {
        const std::scoped_lock lock(mutex);
        return lane.next(now);
    }
    CallError error_of(const HookLane& lane, CallOutcome outcome, Instant now) {
        const std::scoped_lock lock(mutex);
        return lane.error_of(outcome, now);
    }

    struct Paused {  // to be tried again
        Instant at;
        std::unique_ptr<Transfer> transfer;
    };

    const Targets targets;
    const std::string software;
    const std::string id_prefix;
    CURLM* multi = nullptr;
    std::atomic<bool> stopping{false};

    mutable std::mutex mutex;
    std::array<std::optional<HookLane>, kHooks> lanes;  // their insides are guarded by mutex
    std::mutex askers_mutex;
    std::vector<HookAnswers*> askers;  // guarded by askers_mutex; null: has left

    // The thread's own. Together no more than the lanes' concurrency.
    std::unordered_map<CURL*, std::unique_ptr<Transfer>> running;
    std::vector<Paused> paused;
    std::vector<std::unique_ptr<Transfer>> idle;
    std::uint64_t last_id = 0;

    std::thread thread;  // last: it begins when all else is there
};

HookClient::HookClient(Targets targets, std::uint64_t life, std::string software)
    : state_(std::make_unique<State>(std::move(targets), life, std::move(software))) {}

HookClient::~HookClient() = default;

std::size_t HookClient::join(HookAnswers& answers) {
    const std::scoped_lock lock(state_->askers_mutex);
    state_->askers.push_back(&answers);
    return state_->askers.size() - 1;
}

void HookClient::leave(std::size_t asker) {
    const std::scoped_lock lock(state_->askers_mutex);
    state_->askers[asker] = nullptr;
}

std::optional<CallError> HookClient::call(HookCall call) {
    {
        const std::scoped_lock lock(state_->mutex);
        auto& lane = *state_->lanes[static_cast<std::size_t>(call.hook)];
        if (auto error = lane.admit(std::move(call), clock_now())) return error;
    }
    curl_multi_wakeup(state_->multi);
    return std::nullopt;
}

std::optional<HookLane::Counts> HookClient::counts(Hook hook) const {
    const std::scoped_lock lock(state_->mutex);
    const auto& lane = state_->lanes[static_cast<std::size_t>(hook)];
    if (!lane) return std::nullopt;
    return lane->counts();
}

}  // namespace weft

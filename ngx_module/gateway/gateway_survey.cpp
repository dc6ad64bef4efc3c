// What is asked of all shards at once, and how many subscribers weftd is told of so that it can answer.
#include <algorithm>
#include <span>

#include "gateway/gateway.hpp"
#include "gateway/parameters.hpp"
#include "weft/survey.hpp"

namespace weft {

namespace {

constexpr std::chrono::milliseconds kTellCounts{1'000};
constexpr std::size_t kMaxCounted = 1'000;  // feeds in one frame
constexpr std::size_t kMaxFrames = 10;      // at one time to one shard; what is left goes the next time

std::size_t subscribers_of(const Feed& feed) noexcept {
    return feed.subscribers.size() + (feed.history ? feed.history->apart.size() : 0);
}

}  // namespace

void Gateway::survey(Survey survey, RequestObserver& observer, std::string_view id) {
    ask_all({nullptr, &observer, std::string(id), Request::Kind::rpc}, std::move(survey));
}

void Gateway::ask_all(Request request, Survey survey) {
    const auto kept = std::make_shared<Survey>(std::move(survey));
    // Workers answer for their connections to the first shard alone.
    const bool clients = kept->kind == Survey::Kind::clients;
    const std::span asked(links_.data(), clients ? 1 : links_.size());
    if (!std::ranges::all_of(
            asked, [clients](const auto& link) { return !link->up() || (clients ? link->clients : link->surveys); })) {
        return fail(request, {Code::method_not_found, "the broker is of a version that doesn't know this method", {}});
    }
    kept->awaited = static_cast<unsigned>(asked.size());
    for (const auto& link : asked) {
        Request part{request.connection, request.observer, request.id};
        if (link == links_.front()) part.kind = request.kind;  // all of them are one call
        part.survey = kept;
        const std::uint64_t number = new_request(*link, std::move(part));
        if (number == 0) {
            kept->failed = true;  // parts that were asked for are answered to nobody
            return fail_unavailable(request);
        }
        write_question(*kept, number, outgoing_);
        send_link(*link, outgoing_);
    }
}

void Gateway::on_survey_part(ShardLink& link, const v1::Frame& page) {
    const Request request = take_request(link, survey_request(page));
    if (!request.survey || request.survey->failed) return;
    merge_page(request.survey->page, page, request.survey->limit);
    if (--request.survey->awaited > 0) return;
    const std::string result = survey_result(*request.survey);
    ServerFrame frame;
    frame.body = event::RpcResponse{result};
    answer(request, frame);
}

void Gateway::fail_survey(const Request& request, const event::Error& error) {
    if (std::exchange(request.survey->failed, true)) return;
    Request alone{request.connection, request.observer, request.id};
    fail(alone, error);
}

bool Gateway::call_own_method(Connection& connection, std::string_view id, const command::Rpc& rpc) {
    const auto kind = survey_kind(rpc.method);
    const bool stats = rpc.method == "weft.presence_stats";
    if (!kind && !stats) return false;
    Request request{&connection, nullptr, std::string(id), Request::Kind::rpc};
    Parameters parameters(rpc.params.empty() ? Json("{}") : rpc.params);
    Survey survey{};
    std::string channel;
    if (kind) {
        survey = read_survey(*kind, parameters);
    } else {
        channel = parameters.text(text::kChannel);
    }
    if (!parameters.fault().empty()) {
        fail(connection, id, {Code::invalid_message, parameters.fault(), {}});
        return true;
    }
    if (kind) {
        ask_all(std::move(request), std::move(survey));
        return true;
    }
    const ChannelRule* rule = nullptr;
    if (!allowed(connection, id, Action::presence, channel, rule)) return true;
    request.kind = Request::Kind::member_stats;
    ask_members(std::move(request), *rule, {channel, {}, 1});
    return true;
}

void Gateway::count_later(Feed& feed) {
    if (feed.count_slot != Feed::kNoBatch || !feed.link->up()) return;
    feed.count_slot = static_cast<std::uint32_t>(feed.link->counting.size());
    feed.link->counting.push_back(&feed);
}

void Gateway::forget_count(Feed& feed) noexcept {
    if (feed.count_slot == Feed::kNoBatch) return;
    auto& counting = feed.link->counting;
    counting[feed.count_slot] = counting.back();
    counting[feed.count_slot]->count_slot = feed.count_slot;
    counting.pop_back();
    feed.count_slot = Feed::kNoBatch;
}

void Gateway::tell_counts() {
    if (now_ < next_counts_) return;
    next_counts_ = now_ + kTellCounts;
    for (const auto& link : links_) tell_counts(*link);
}

void Gateway::tell_counts(ShardLink& link) {
    if (!link_ready(link) || link.queued_bytes() > part_.relieved) return;  // it can wait
    bool connections = &link == &first_link() && open_ != told_connections_;
    for (std::size_t frames = 0; frames < kMaxFrames && (connections || !link.counting.empty()); ++frames) {
        v1::Subscriptions& told = *outgoing_.mutable_subscriptions();
        told.Clear();
        if (std::exchange(connections, false)) {
            told_connections_ = open_;
            told.set_connections(open_);
        }
        while (static_cast<std::size_t>(told.entries_size()) < kMaxCounted && !link.counting.empty()) {
            Feed& feed = *link.counting.back();
            forget_count(feed);
            const auto count = static_cast<std::uint32_t>(subscribers_of(feed));
            if (count == feed.told_count || count == 0) continue;
            feed.told_count = count;
            v1::Subscriptions::Entry& entry = *told.add_entries();
            entry.set_channel(feed.name);
            entry.set_count(count);
        }
        if (link.surveys && (told.has_connections() || told.entries_size() > 0)) send_link(link, outgoing_);
    }
}

}  // namespace weft

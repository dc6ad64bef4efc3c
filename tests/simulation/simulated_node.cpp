// weftd in a simulated mesh: the broker with its links.
#include <algorithm>
#include <charconv>

#include "simulation/names.hpp"
#include "simulation/simulated_mesh.hpp"

namespace weft::simulation {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kMaxQueued = 1024 * 1024;
constexpr LinkId kProbe = ~LinkId{0};

}  // namespace

class SimulatedNode::Listening final : private LinkListener::Events {
public:
    Listening(SimulatedNode& node, std::uint64_t dialer)
        : listener(welcome(node), kTimings, kMaxQueued, *this), node_(node), dialer_(dialer) {}
    ~Listening() override { close(); }

    LinkListener listener;
    std::optional<v1::Frame> held_back;  // by Bug::swap_publications

    void pump() {
        std::string bytes;
        while (listener.next_batch(bytes, node_.now())) {
            node_.mesh_.transmit(dialer_, false, std::exchange(bytes, {}));
        }
    }

private:
    static v1::Welcome welcome(const SimulatedNode& node) {
        v1::Welcome welcome;
        welcome.set_node(node_name(node.index_));
        return welcome;
    }
    std::string on_dialer_up(const v1::Hello& hello, Instant now) override {
        id_ = node_.mesh_.next_link_++;
        node_.dialers_up_[id_] = this;
        node_.broker_->on_link_up(id_, hello.kind() == v1::Hello::PEER ? LinkRole::peer_in : LinkRole::worker,
                                  hello.name(), now, LinkGreeting{hello.incarnation(), false});
        return {};
    }
    void on_dialer_down(std::string_view, Instant now) override {
        const LinkId id = id_;
        close();
        node_.broker_->on_link_down(id, now);
    }
    void on_dialer_frame(v1::Frame& frame, Instant now) override {
        if (frame.has_member_leave() && node_.mesh_.bug_strikes(Bug::keep_ghost)) return;
        node_.broker_->on_frame(id_, frame, now, node_.wall());
    }
    void on_dialer_rejected(std::string_view why, Instant) override {
        node_.mesh_.world_.trace(node_name(node_.index_) + " rejects a dialer: " + std::string(why));
    }
    void close() {
        if (id_ != 0) node_.dialers_up_.erase(std::exchange(id_, 0));
        held_back.reset();
    }

    SimulatedNode& node_;
    std::uint64_t dialer_;  // key of the DialingEnd
    LinkId id_ = 0;
};

class SimulatedNode::Peer final : private LinkDialer::Events {
public:
    Peer(SimulatedNode& node, std::size_t peer)
        : node_(node), peer_(peer), end(node.mesh_, node_name(node.index_), hello(node), node.index_, peer, *this) {}
    ~Peer() override {
        if (id_ != 0) node_.peers_up_.erase(id_);
    }

private:
    static v1::Hello hello(const SimulatedNode& node) {
        v1::Hello hello;
        hello.set_kind(v1::Hello::PEER);
        hello.set_name(node_name(node.index_));
        return hello;
    }
    void on_link_up(const v1::Welcome& welcome, Instant now) override {
        id_ = node_.mesh_.next_link_++;
        node_.peers_up_[id_] = this;
        node_.met_.try_emplace(peer_, node_.mesh_.world_.now());
        node_.mesh_.world_.trace(node_name(node_.index_) + " has a link to " + welcome.node());
        node_.broker_->on_link_up(id_, LinkRole::peer_out, welcome.node(), now);
    }
    void on_link_down(std::string_view why, Instant now) override {
        node_.mesh_.world_.trace(node_name(node_.index_) + " lost its link to " + node_name(peer_) + ": " +
                                 std::string(why));
        const LinkId id = std::exchange(id_, 0);
        node_.peers_up_.erase(id);
        node_.broker_->on_link_down(id, now);
    }
    void on_link_frame(v1::Frame& frame, Instant now) override {
        if (frame.has_publication() && node_.mesh_.bug_strikes(Bug::lose_peer_publication)) return;
        if (frame.has_member_change() && node_.mesh_.bug_strikes(Bug::lose_member_change)) return;
        if (frame.member_changes().entries_size() > 0 && node_.mesh_.plan_.bug == Bug::skip_peer_member) {
            frame.mutable_member_changes()->mutable_entries()->RemoveLast();
        }
        node_.broker_->on_frame(id_, frame, now, node_.wall());
    }
    void on_link_refused(const v1::Refused& refused, Instant) override {
        node_.mesh_.violate("a peer was refused: " + refused.message());
    }

    SimulatedNode& node_;
    std::size_t peer_;
    LinkId id_ = 0;

public:
    DialingEnd end;  // last: its callbacks use what stands above
};

SimulatedNode::SimulatedNode(SimulatedMesh& mesh, std::size_t index) : mesh_(mesh), index_(index) {
    if (!mesh.plan_.skewed) return;
    ahead_ = mesh.world_.between(0ms, 5h);  // hosts count from when they were started
    wall_ahead_ = mesh.world_.between(-2h, 2h);
    pace_ = 0.99 + static_cast<double>(mesh.world_.below(21)) / 1000;
}

Instant SimulatedNode::now() const noexcept {
    const auto passed = static_cast<double>(mesh_.world_.now().time_since_epoch().count()) * pace_;
    return Instant{ahead_ + milliseconds{static_cast<std::int64_t>(passed)}};
}

WallTime SimulatedNode::wall() const noexcept {
    return mesh_.world_.wall() + wall_ahead_;
}

SimulatedNode::~SimulatedNode() {
    crash();
}

void SimulatedNode::start() {
    if (running()) return;
    started_at_ = mesh_.world_.now();
    BrokerSettings settings;
    settings.node = node_name(index_);
    settings.channel_linger = mesh_.plan_.linger;
    settings.expected_peers = mesh_.plan_.nodes - 1;
    settings.sync_interval = 2000ms;
    settings.member_timeout = 4000ms;
    broker_ = std::make_unique<Broker>(
        settings, [this] { return mesh_.world_.random(); }, *this);
    v1::ChannelRules rules;
    rules.set_generation(1);
    if (mesh_.plan_.kept_channels > 0) {
        rules.add_rules()->set_pattern("kept:*");
        rules.mutable_rules(0)->mutable_history()->set_count(mesh_.plan_.history_count);
        rules.mutable_rules(0)->mutable_history()->set_age_ms(3'600'000);
        rules.mutable_rules(0)->mutable_history()->set_ack(mesh_.plan_.publishers > 0 &&
                                                           mesh_.plan_.bug != Bug::acknowledge_at_once);
    }
    broker_->on_rules(rules);
    for (std::size_t peer = 0; peer < mesh_.plan_.nodes; ++peer) {
        if (peer != index_) peers_[peer] = std::make_unique<Peer>(*this, peer);
    }
    mesh_.world_.trace("node " + node_name(index_) + " starts");
}

void SimulatedNode::crash() {
    if (!running()) return;
    mesh_.world_.trace("node " + node_name(index_) + " crashes");
    listening_.clear();
    peers_.clear();
    met_.clear();
    broker_.reset();
}

void SimulatedNode::receive(std::uint64_t identity, std::uint64_t dialer, const std::string& bytes) {
    if (!running()) return;
    auto& listening = listening_[identity];
    if (!listening) listening = std::make_unique<Listening>(*this, dialer);
    listening->listener.on_message(bytes, now());
    pump();
}

void SimulatedNode::unreachable(std::uint64_t identity) {
    const auto listening = listening_.find(identity);
    if (listening == listening_.end()) return;
    listening->second->listener.on_unreachable(now());
    pump();
}

void SimulatedNode::tick() {
    if (!running()) return;
    const Instant now = this->now();
    for (auto& [identity, listening] : listening_) listening->listener.on_tick(now);
    std::erase_if(listening_, [now](const auto& entry) { return entry.second->listener.idle(now); });
    for (auto& [index, peer] : peers_) peer->end.dialer.on_tick(now);
    broker_->on_tick(now);
    pump();
}

void SimulatedNode::pump() {
    for (auto& [identity, listening] : listening_) listening->pump();
    for (auto& [index, peer] : peers_) peer->end.pump();
}

std::optional<Instant> SimulatedNode::met(std::size_t peer) const {
    const auto found = met_.find(peer);
    return found == met_.end() ? std::nullopt : std::optional{found->second};
}

v1::Frame SimulatedNode::ask(const v1::Frame& question) {
    probed_.Clear();
    broker_->on_link_up(kProbe, LinkRole::worker, "probe", now());
    broker_->on_frame(kProbe, question, now(), wall());
    broker_->on_link_down(kProbe, now());
    return std::move(probed_);
}

v1::HistoryPage SimulatedNode::read(const std::string& channel, const std::string& after) {
    v1::Frame question;
    question.mutable_read_history()->set_request(1);
    question.mutable_read_history()->set_channel(channel);
    question.mutable_read_history()->set_after(after);
    v1::Frame answer = ask(question);
    if (!answer.has_history_page()) answer.mutable_history_page()->set_complete(true);
    return answer.history_page();
}

Members SimulatedNode::members(const std::string& room) {
    v1::Frame question;
    question.mutable_read_members()->set_request(1);
    question.mutable_read_members()->set_channel(room);
    const v1::Frame answer = ask(question);
    Members members;
    for (const v1::Member& member : answer.members_page().members()) {
        members.emplace(member.client_id(), member.user());
    }
    return members;
}

void SimulatedNode::send(LinkId link, std::string_view frame) {
    if (link == kProbe) {
        v1::Frame parsed;
        parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
        if (parsed.has_history_page() || parsed.has_members_page()) probed_ = std::move(parsed);
        return;
    }
    if (const auto dialer = dialers_up_.find(link); dialer != dialers_up_.end())
        return to_worker(*dialer->second, frame);
    const auto peer = peers_up_.find(link);
    if (peer == peers_up_.end()) return;
    v1::Frame parsed;
    parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
    if (parsed.has_subscribe() && mesh_.bug_strikes(Bug::lose_interest)) return;
    if (parsed.has_read_digest() && mesh_.plan_.bug == Bug::no_digests) return;
    peer->second->end.dialer.send_encoded(frame);
}

// Also to peers that dialed us; the bugs tell the two apart by what is in the frame.
void SimulatedNode::to_worker(Listening& link, std::string_view bytes) {
    const Instant now = this->now();
    v1::Frame frame;
    frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    if (frame.has_published()) {
        const v1::Published& published = frame.published();
        Record& record = mesh_.records_[published.request()];
        record.accepted = true;
        record.accepted_at = mesh_.world_.now();
        record.node = index_;
        if (record.own_id) return void(link.listener.send(bytes, now));
        const std::string& id = published.message_id();  // "<stream>-<number>"
        const char* const dash = std::find(id.data(), id.data() + id.size(), '-');
        std::from_chars(id.data(), dash, record.stream, 36);
        std::from_chars(dash + 1, id.data() + id.size(), record.number);
    }
    if (frame.has_publication() && frame.publication().has_retention() && frame.publication().own_id()) {
        std::uint64_t request = 0;
        const std::string& data = frame.publication().data();
        std::from_chars(data.data(), data.data() + data.size(), request);
        mesh_.records_[request].copies.insert(frame.publication().stream());
        if (mesh_.plan_.bug == Bug::hide_ids) {
            frame.mutable_publication()->set_own_id(false);
            link.listener.send(frame.SerializeAsString(), now);
            return;
        }
    }
    if (frame.has_history_page() && mesh_.plan_.bug == Bug::hide_ids) {
        for (v1::Publication& event : *frame.mutable_history_page()->mutable_events()) event.set_own_id(false);
        link.listener.send(frame.SerializeAsString(), now);
        return;
    }
    if (frame.has_history_page()) {
        v1::HistoryPage& page = *frame.mutable_history_page();
        const Bug bug = page.has_retention() ? Bug::skip_peer_range : Bug::skip_range;  // only peers are told that
        if (page.events_size() > 1 && mesh_.plan_.bug == bug) page.mutable_events()->DeleteSubrange(0, 1);
        if (mesh_.plan_.bug == Bug::hide_lost) page.set_lost(false);
        link.listener.send(frame.SerializeAsString(), now);
        return;
    }
    const bool live = frame.has_publication() && frame.publication().number() == 0;
    if (live && mesh_.bug_strikes(Bug::swallow_publication)) return;
    if (live && mesh_.bug_strikes(Bug::duplicate_publication)) link.listener.send(bytes, now);
    if (live && link.held_back) {
        link.listener.send(bytes, now);
        link.listener.send(link.held_back->SerializeAsString(), now);
        return link.held_back.reset();
    }
    const bool misplaced = frame.has_marked() && mesh_.bug_strikes(Bug::misplace_mark);
    if (misplaced || (live && mesh_.bug_strikes(Bug::swap_publications))) {
        link.held_back = frame;
        return;
    }
    if (frame.has_member_event() && !frame.member_event().left() && mesh_.bug_strikes(Bug::forget_member)) return;
    if (frame.has_gap() && mesh_.plan_.bug == Bug::hide_gap) return;
    if (frame.has_subscribed() && frame.subscribed().gap() && mesh_.plan_.bug == Bug::hide_subscribed_gap) {
        frame.mutable_subscribed()->set_gap(false);
        link.listener.send(frame.SerializeAsString(), now);
        return;
    }
    link.listener.send(bytes, now);
}

}  // namespace weft::simulation

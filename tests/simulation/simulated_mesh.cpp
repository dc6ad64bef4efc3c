#include "simulation/simulated_mesh.hpp"

#include <algorithm>
#include <charconv>

#include "simulation/simulated_publisher.hpp"
#include "simulation/simulated_reader.hpp"

namespace weft::simulation {
namespace {

using namespace std::chrono_literals;

constexpr LinkTimings kTimings{1000ms, 3000ms, 10000ms};
constexpr milliseconds kTick{250};
constexpr std::size_t kMaxQueued = 1024 * 1024;
constexpr LinkId kProbe = ~LinkId{0};
constexpr std::size_t kBugEvery = 20;  // a bug strikes at each so-manieth chance

std::string node_name(std::size_t index) {
    return std::string(1, static_cast<char>('a' + index));
}

Position parse(const std::string& text) {
    auto position = Position::parse(text);
    return position ? *position : Position{};
}

}  // namespace

// --- DialingEnd
// --------------------------------------------------------------------------------------------------------

DialingEnd::DialingEnd(SimulatedMesh& mesh, std::string name, v1::Hello hello, std::optional<std::size_t> from,
                       std::size_t to, LinkDialer::Events& events)
    : dialer(
          std::move(hello), kTimings, [&mesh] { return mesh.world_.random(); }, events),
      mesh_(mesh),
      name_(std::move(name)),
      key_(mesh.next_key_++) {
    wire.from = from;
    wire.to = to;
    wire.stable_identity = mesh.world_.chance(0.5);
    mesh_.dialers_[key_] = this;
    connect_later();
}

DialingEnd::~DialingEnd() {
    mesh_.dialers_.erase(key_);
}

void DialingEnd::receive(const std::string& bytes) {
    dialer.on_message(bytes, mesh_.world_.now());
    pump();
}

void DialingEnd::tick() {
    dialer.on_tick(mesh_.world_.now());
    pump();
}

void DialingEnd::pump() {
    std::string bytes;
    while (wire.connected && dialer.next_batch(bytes, mesh_.world_.now())) {
        mesh_.transmit(key_, true, std::exchange(bytes, {}));
    }
}

void DialingEnd::drop(bool noticed) {
    if (!wire.connected) return;
    ++wire.generation;
    mesh_.world_.trace(name_ + ": connection to " + node_name(wire.to) + " breaks" + (noticed ? "" : " unnoticed"));
    if (mesh_.world_.chance(0.5)) {
        mesh_.world_.after(mesh_.world_.between(0ms, 500ms), [&mesh = mesh_, to = wire.to, identity = wire.identity] {
            mesh.nodes_[to]->unreachable(identity);
        });
    }
    if (!noticed) return;
    wire.connected = false;
    dialer.on_disconnected("connection lost", mesh_.world_.now());
    connect_later();
}

void DialingEnd::connect_later() {
    mesh_.world_.after(mesh_.world_.between(1ms, 300ms), [&mesh = mesh_, key = key_] {
        const auto end = mesh.dialers_.find(key);
        if (end != mesh.dialers_.end()) end->second->try_to_connect();
    });
}

void DialingEnd::try_to_connect() {
    if (wire.connected) return;
    if (!mesh_.nodes_[wire.to]->running() || mesh_.cut(wire)) return connect_later();
    wire.connected = true;
    ++wire.generation;
    if (wire.identity == 0 || !wire.stable_identity) wire.identity = mesh_.next_identity_++;
    dialer.on_connected(mesh_.world_.now());
    pump();
}

// --- SimulatedNode
// -----------------------------------------------------------------------------------------------------

class SimulatedNode::Listening final : private LinkListener::Events {
public:
    Listening(SimulatedNode& node, std::uint64_t dialer)
        : listener(welcome(node), kTimings, kMaxQueued, *this), node_(node), dialer_(dialer) {}
    ~Listening() override { close(); }

    LinkListener listener;
    std::optional<v1::Frame> held_back;  // by Bug::swap_publications

    void pump() {
        std::string bytes;
        while (listener.next_batch(bytes, node_.mesh_.world_.now())) {
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
                                  hello.name(), now);
        return {};
    }
    void on_dialer_down(std::string_view, Instant now) override {
        const LinkId id = id_;
        close();
        node_.broker_->on_link_down(id, now);
    }
    void on_dialer_frame(v1::Frame& frame, Instant now) override {
        node_.broker_->on_frame(id_, frame, now, node_.mesh_.world_.wall());
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
        node_.met_.try_emplace(peer_, now);
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
        node_.broker_->on_frame(id_, frame, now, node_.mesh_.world_.wall());
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

SimulatedNode::SimulatedNode(SimulatedMesh& mesh, std::size_t index) : mesh_(mesh), index_(index) {}

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
    broker_ = std::make_unique<Broker>(
        settings, [this] { return mesh_.world_.random(); }, *this);
    if (mesh_.plan_.kept_channels > 0) {
        v1::ChannelRules rules;
        rules.set_generation(1);
        rules.add_rules()->set_pattern("kept:*");
        rules.mutable_rules(0)->mutable_history()->set_count(mesh_.plan_.history_count);
        rules.mutable_rules(0)->mutable_history()->set_age_ms(3'600'000);
        rules.mutable_rules(0)->mutable_history()->set_ack(mesh_.plan_.publishers > 0 &&
                                                           mesh_.plan_.bug != Bug::acknowledge_at_once);
        broker_->on_rules(rules);
    }
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
    listening->listener.on_message(bytes, mesh_.world_.now());
    pump();
}

void SimulatedNode::unreachable(std::uint64_t identity) {
    const auto listening = listening_.find(identity);
    if (listening == listening_.end()) return;
    listening->second->listener.on_unreachable(mesh_.world_.now());
    pump();
}

void SimulatedNode::tick() {
    if (!running()) return;
    const Instant now = mesh_.world_.now();
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

v1::HistoryPage SimulatedNode::read(const std::string& channel, const std::string& after) {
    const Instant now = mesh_.world_.now();
    v1::Frame frame;
    frame.mutable_read_history()->set_request(1);
    frame.mutable_read_history()->set_channel(channel);
    frame.mutable_read_history()->set_after(after);
    probed_.Clear();
    probed_.set_complete(true);
    broker_->on_link_up(kProbe, LinkRole::worker, "probe", now);
    broker_->on_frame(kProbe, frame, now, mesh_.world_.wall());
    broker_->on_link_down(kProbe, now);
    return std::move(probed_);
}

void SimulatedNode::send(LinkId link, std::string_view frame) {
    if (link == kProbe) {
        v1::Frame parsed;
        parsed.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
        probed_ = parsed.history_page();
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
    const Instant now = mesh_.world_.now();
    v1::Frame frame;
    frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    if (frame.has_published()) {
        const v1::Published& published = frame.published();
        Record& record = mesh_.records_[published.request()];
        record.accepted = true;
        record.accepted_at = now;
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
    if (live && mesh_.bug_strikes(Bug::swap_publications)) {
        link.held_back = frame;
        return;
    }
    if (frame.has_gap() && mesh_.plan_.bug == Bug::hide_gap) return;
    if (frame.has_subscribed() && frame.subscribed().gap() && mesh_.plan_.bug == Bug::hide_subscribed_gap) {
        frame.mutable_subscribed()->set_gap(false);
        link.listener.send(frame.SerializeAsString(), now);
        return;
    }
    link.listener.send(bytes, now);
}

// --- SimulatedWorker
// ---------------------------------------------------------------------------------------------------

std::string SimulatedWorker::name() const {
    return "worker " + node_name(node_) + std::to_string(index_) + "/" + std::to_string(life_);
}

void SimulatedWorker::start() {
    life_ = mesh_.next_life_++;
    v1::Hello hello;
    hello.set_kind(v1::Hello::WORKER);
    hello.set_name(name());
    end_ = std::make_unique<DialingEnd>(mesh_, name(), hello, std::nullopt, node_, *this);
}

void SimulatedWorker::crash() {
    mesh_.world_.trace(name() + " crashes");
    const Wire wire = end_->wire;
    end_.reset();
    wishes_.clear();
    last_.clear();
    if (mesh_.world_.chance(0.5)) mesh_.nodes_[node_]->unreachable(wire.identity);
    start();
}

void SimulatedWorker::toggle(const std::string& channel) {
    const auto wish = wishes_.find(channel);
    if (wish == wishes_.end()) {
        Wish& made = wishes_[channel];
        if (up()) ask(channel, made);
    } else {
        if (up()) {
            v1::Frame frame;
            frame.mutable_unsubscribe()->set_channel(channel);
            end_->dialer.send(frame);
        }
        wishes_.erase(wish);
    }
    pump();
}

void SimulatedWorker::publish(const std::string& channel) {
    if (!up()) return;
    const std::uint64_t request = mesh_.next_request_++;
    Record& record = mesh_.records_[request];
    record.publisher = life_;
    record.channel = channel;
    v1::Frame frame;
    v1::Publish& publish = *frame.mutable_publish();
    publish.set_request(request);
    publish.set_channel(channel);
    publish.set_data(std::to_string(request));
    end_->dialer.send(frame);
    pump();
}

void SimulatedWorker::tick() {
    end_->tick();
}

void SimulatedWorker::on_link_up(const v1::Welcome&, Instant) {
    for (auto& [channel, wish] : wishes_) ask(channel, wish);
}

void SimulatedWorker::on_link_down(std::string_view why, Instant) {
    mesh_.world_.trace(name() + " lost its link: " + std::string(why));
    for (auto& [channel, wish] : wishes_) wish.state = Wish::State::asked;
}

void SimulatedWorker::on_link_frame(v1::Frame& frame, Instant) {
    switch (frame.body_case()) {
        case v1::Frame::kPublication: return on_publication(frame.publication());
        case v1::Frame::kSubscribed: return on_subscribed(frame.subscribed());
        case v1::Frame::kGap: return on_gap(frame.gap());
        case v1::Frame::kPublished: return;
        default: mesh_.violate(name() + " got a frame that it can't have asked for: " + frame.ShortDebugString());
    }
}

void SimulatedWorker::on_link_refused(const v1::Refused& refused, Instant) {
    mesh_.violate(name() + " was refused: " + refused.message());
}

void SimulatedWorker::ask(const std::string& channel, Wish& wish) {
    wish.state = Wish::State::asked;
    wish.sent = wish.settled_at ? wish.position.text() : std::string();
    v1::Frame frame;
    frame.mutable_subscribe()->set_channel(channel);
    frame.mutable_subscribe()->set_position(wish.sent);
    end_->dialer.send(frame);
}

void SimulatedWorker::on_publication(const v1::Publication& publication) {
    std::uint64_t request = 0;
    std::from_chars(publication.data().data(), publication.data().data() + publication.data().size(), request);
    const auto record = mesh_.records_.find(request);
    if (record == mesh_.records_.end() || !record->second.accepted || record->second.channel != publication.channel()) {
        return mesh_.violate(name() + " got a publication that nobody published: " + publication.data());
    }
    const auto wish = wishes_.find(publication.channel());
    if (wish == wishes_.end() || wish->second.state != Wish::State::subscribed) return;  // of an earlier wish

    std::uint64_t& last = last_[{record->second.publisher, publication.channel()}];
    if (request == last)
        return mesh_.violate("P2: " + name() + " got publication " + std::to_string(request) + " twice");
    if (request < last) {
        return mesh_.violate("P1: " + name() + " got publication " + std::to_string(request) + " after " +
                             std::to_string(last) + " of the same publisher");
    }
    last = request;
    ++mesh_.delivered_;
    wish->second.delivered.insert(request);
    wish->second.position = parse(publication.position());
    for (const auto& entry : wish->second.position.entries()) wish->second.streams[entry.stream] = mesh_.world_.now();
}

void SimulatedWorker::on_subscribed(const v1::Subscribed& subscribed) {
    const auto found = wishes_.find(subscribed.channel());
    if (found == wishes_.end()) return;
    Wish& wish = found->second;
    Position position = parse(subscribed.position());
    // After Subscribe, Unsubscribe, Subscribe the answer to the first may be taken for the answer to the second. Then
    // the answer to the second comes as a surprise, and says what was missed in between.
    const bool surprise = wish.state == Wish::State::subscribed && !wish.position.covers(position);
    if (subscribed.gap() || surprise) {
        ++mesh_.gaps_told_;
        wish.gaps.push_back({mesh_.world_.now(), surprise ? wish.position : parse(wish.sent), position});
    }
    wish.state = Wish::State::subscribed;
    wish.position = position;
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
    if (!wish.settled_at) {
        wish.settled_at = mesh_.world_.now();
        wish.start = std::move(position);
    }
}

void SimulatedWorker::on_gap(const v1::Gap& gap) {
    const auto found = wishes_.find(gap.channel());
    if (found == wishes_.end() || found->second.state != Wish::State::subscribed) return;
    Wish& wish = found->second;
    ++mesh_.gaps_told_;
    const Position position = parse(gap.position());
    wish.gaps.push_back({mesh_.world_.now(), wish.position, position});
    wish.position = position;
    for (const auto& entry : position.entries()) wish.streams[entry.stream] = mesh_.world_.now();
}

// --- SimulatedMesh
// -----------------------------------------------------------------------------------------------------

SimulatedMesh::SimulatedMesh(SimulatedWorld& world, MeshPlan plan) : world_(world), plan_(plan) {
    for (std::size_t i = 0; i < plan_.nodes; ++i) nodes_.push_back(std::make_unique<SimulatedNode>(*this, i));
    for (auto& node : nodes_) node->start();
    for (std::size_t i = 0; i < plan_.nodes * plan_.workers_per_node; ++i) {
        workers_.push_back(std::make_unique<SimulatedWorker>(*this, i % plan_.nodes, i / plan_.nodes));
        workers_.back()->start();
        keep_working(i);
    }
    for (std::size_t i = 0; i < plan_.readers; ++i) {
        readers_.push_back(std::make_unique<SimulatedReader>(*this, i));
        readers_.back()->move_to(i % plan_.nodes);
    }
    for (std::size_t i = 0; i < plan_.publishers; ++i) {
        publishers_.push_back(std::make_unique<SimulatedPublisher>(*this, i));
        publishers_.back()->move_to(i % plan_.nodes);
    }
    for (std::size_t i = 0; i < nodes_.size() + workers_.size() + readers_.size() + publishers_.size(); ++i) {
        keep_ticking(i);
    }
}

SimulatedMesh::~SimulatedMesh() {
    workers_.clear();
    readers_.clear();
    publishers_.clear();
    for (auto& node : nodes_) node->crash();
}

void SimulatedMesh::drop_a_connection() {
    if (dialers_.empty()) return;
    const auto victim = std::next(dialers_.begin(), static_cast<std::ptrdiff_t>(world_.below(dialers_.size())));
    victim->second->drop(world_.chance(0.5));
}

void SimulatedMesh::partition_two_nodes(milliseconds time) {
    const std::size_t one = world_.below(nodes_.size());
    const std::size_t other = (one + 1 + world_.below(nodes_.size() - 1)) % nodes_.size();
    const auto pair = std::minmax(one, other);
    if (!partitions_.insert(pair).second) return;
    world_.trace("nodes " + node_name(one) + " and " + node_name(other) + " are cut off from each other");
    world_.after(time, [this, pair = std::pair{pair.first, pair.second}, generation = partition_generation_] {
        if (generation != partition_generation_) return;
        partitions_.erase(pair);
        world_.trace("nodes " + node_name(pair.first) + " and " + node_name(pair.second) + " reach each other again");
    });
}

void SimulatedMesh::crash_a_node(milliseconds down) {
    const std::size_t victim = world_.below(nodes_.size());
    if (!nodes_[victim]->running()) return;
    nodes_[victim]->crash();
    for (auto& [key, end] : std::map(dialers_)) {
        if (end->wire.to == victim) end->drop(world_.chance(0.7));
    }
    world_.after(down, [this, victim] { nodes_[victim]->start(); });
}

void SimulatedMesh::crash_a_worker() {
    workers_[world_.below(workers_.size())]->crash();
}

void SimulatedMesh::heal() {
    ++partition_generation_;
    partitions_.clear();
    weather = {};
    for (auto& node : nodes_) node->start();
    world_.trace("all is well from now on");
}

void SimulatedMesh::set_busy(bool publishing, bool toggling) {
    publishing_ = publishing;
    toggling_ = toggling;
}

void SimulatedMesh::subscribe_everybody() {
    for (auto& worker : workers_) {
        for (std::size_t i = 0; i < plan_.channels; ++i) {
            const std::string channel = "chat:" + std::to_string(i);
            if (!worker->wishes().contains(channel)) worker->toggle(channel);
        }
    }
}

void SimulatedMesh::publish_everywhere() {
    const std::uint64_t first = next_request_;
    for (auto& worker : workers_) {
        if (!worker->up()) violate(worker->name() + " has no link after the healing");
        for (std::size_t i = 0; i < plan_.channels; ++i) worker->publish("chat:" + std::to_string(i));
    }
    for (std::uint64_t request = first; request < next_request_; ++request) last_round_.insert(request);
}

void SimulatedMesh::violate(std::string what) {
    world_.trace("VIOLATION " + what);
    if (violation_.empty()) violation_ = std::move(what);
}

void SimulatedMesh::check_losses() {
    for (const auto& worker : workers_) {
        for (const auto& [channel, wish] : worker->wishes()) {
            if (!wish.settled_at) continue;
            for (const auto& [request, record] : records_) {
                if (!record.accepted || record.channel != channel || wish.delivered.contains(request)) continue;
                const std::uint64_t* const started_at = wish.start.find(record.stream);
                // Within one millisecond only the numbers can tell.
                const bool owed =
                    record.accepted_at > *wish.settled_at || (started_at != nullptr && record.number > *started_at);
                if (!owed) continue;
                // What a node accepted, and forgot before this life of the worker's node had ever heard of it, nobody
                // can tell.
                const SimulatedNode& home = *nodes_[worker->node()];
                const auto met = worker->node() == record.node ? std::optional{Instant{}} : home.met(record.node);
                const auto heard = wish.streams.find(record.stream);
                if ((!met || record.accepted_at < *met) &&
                    (heard == wish.streams.end() || heard->second < home.started_at())) {
                    continue;
                }
                const bool told = std::ranges::any_of(wish.gaps, [&](const SimulatedWorker::Wish::Gap& gap) {
                    const std::uint64_t* const before = gap.before.find(record.stream);
                    const std::uint64_t* const after = gap.after.find(record.stream);
                    return gap.told_at >= record.accepted_at && (before == nullptr || *before < record.number) &&
                           (after == nullptr || *after >= record.number);
                });
                if (!told) {
                    return violate("P3: " + worker->name() + " never got publication " + std::to_string(request) +
                                   " on " + channel + " (accepted by " + node_name(record.node) + " at " +
                                   std::to_string(record.accepted_at.time_since_epoch().count()) + " ms), nor a gap");
                }
            }
        }
    }
}

void SimulatedMesh::check_convergence() {
    for (const auto& worker : workers_) {
        for (const auto& [channel, wish] : worker->wishes()) {
            if (wish.state != SimulatedWorker::Wish::State::subscribed) {
                return violate("no convergence: " + worker->name() + " is not subscribed to " + channel);
            }
            for (const std::uint64_t request : last_round_) {
                const Record& record = records_.at(request);
                if (record.channel == channel && !wish.delivered.contains(request)) {
                    return violate("no convergence: " + worker->name() + " lacks publication " +
                                   std::to_string(request) + " of the last round on " + channel);
                }
            }
        }
    }
}

std::size_t SimulatedMesh::taken_twice() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(records_, [](const auto& entry) { return entry.second.copies.size() > 1; }));
}

std::size_t SimulatedMesh::accepted() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(records_, [](const auto& entry) { return entry.second.accepted; }));
}

void SimulatedMesh::transmit(std::uint64_t dialer, bool to_node, std::string bytes) {
    const auto found = dialers_.find(dialer);
    if (found == dialers_.end()) return;
    Wire& wire = found->second->wire;
    if (!wire.connected || cut(wire) || world_.chance(weather.loss)) return;
    Instant& last = wire.arrives[to_node ? 0 : 1];
    last = std::max(last, world_.now() + world_.between(weather.min_delay, weather.max_delay));
    world_.at(last, [this, dialer, to_node, generation = wire.generation, bytes = std::move(bytes)] {
        const auto end = dialers_.find(dialer);
        if (end == dialers_.end()) return;
        const Wire& wire = end->second->wire;
        if (!wire.connected || wire.generation != generation || cut(wire)) return;
        if (to_node) {
            nodes_[wire.to]->receive(wire.identity, dialer, bytes);
        } else {
            end->second->receive(bytes);
            if (wire.from) nodes_[*wire.from]->pump();
        }
    });
}

bool SimulatedMesh::cut(const Wire& wire) const {
    return wire.from && partitions_.contains(std::minmax(*wire.from, wire.to));
}

void SimulatedMesh::keep_ticking(std::size_t actor) {
    world_.after(world_.between(kTick / 2, kTick), [this, actor] {
        if (actor < nodes_.size()) {
            nodes_[actor]->tick();
        } else if (actor < nodes_.size() + workers_.size()) {
            workers_[actor - nodes_.size()]->tick();
        } else if (actor < nodes_.size() + workers_.size() + readers_.size()) {
            readers_[actor - nodes_.size() - workers_.size()]->tick();
        } else {
            publishers_[actor - nodes_.size() - workers_.size() - readers_.size()]->tick();
        }
        keep_ticking(actor);
    });
}

void SimulatedMesh::keep_working(std::size_t index) {
    world_.after(world_.between(20ms, 400ms), [this, index] {
        SimulatedWorker& worker = *workers_[index];
        if (publishing_) {
            const std::string channel = some_channel();
            for (std::uint64_t burst = world_.below(4); burst > 0; --burst) worker.publish(channel);
            if (plan_.kept_channels > 0 && plan_.publishers == 0) {
                const std::string kept = some_kept_channel();
                for (std::uint64_t burst = world_.below(6); burst > 0; --burst) worker.publish(kept);
            }
        }
        if (toggling_ && world_.chance(0.1)) {
            const std::string channel = some_channel();
            worker.toggle(channel);
            if (world_.chance(0.3)) worker.toggle(channel);  // and back at once
        }
        keep_working(index);
    });
}

bool SimulatedMesh::bug_strikes(Bug bug) {
    return plan_.bug == bug && ++bug_chances_ % kBugEvery == 0;
}

}  // namespace weft::simulation

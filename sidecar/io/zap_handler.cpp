#include "io/zap_handler.hpp"

#include <sys/stat.h>

#include <array>
#include <utility>

#include "io/start_error.hpp"

namespace weft {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr std::chrono::milliseconds kWait{200};  // for a question, before the thread looks whether it is to end
constexpr std::size_t kShownKey = 8;             // characters of a key in the log

std::string view(const zmq::message_t& message) {
    return message.to_string();
}

/// The text of 32 bytes; empty for anything else.
std::string key_text(const zmq::message_t& bytes) {
    std::array<char, kCurveKeyText + 1> text{};
    if (bytes.size() != 32) return {};
    return zmq_z85_encode(text.data(), static_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

ZapHandler::ZapHandler(zmq::context_t& context, const Config::Mesh::Curve& files) : file_(files.allow) {
    if (zmq_has("curve") != 1) {
        throw StartError("mesh.curve needs a libzmq with CURVE, and this one is built without");
    }
    auto secret = load_secret_key(files.secret_key);
    if (!secret) throw StartError("mesh.curve.secret_key: " + secret.error());
    secret_key_ = std::move(*secret);
    std::array<char, kCurveKeyText + 1> text{};
    if (zmq_curve_public(text.data(), secret_key_.c_str()) != 0) {
        throw StartError("mesh.curve.secret_key: " + files.secret_key + " holds no usable key");
    }
    public_key_ = text.data();

    stamp_ = stamp();
    auto keys = PeerKeys::load(file_);
    if (!keys) throw StartError("mesh.curve.allow: " + keys.error());
    keys_ = std::make_shared<const PeerKeys>(std::move(*keys));

    zmq::socket_t questions(context, zmq::socket_type::rep);
    questions.set(zmq::sockopt::linger, 0);
    questions.set(zmq::sockopt::rcvtimeo, static_cast<int>(kWait.count()));
    questions.bind(kZapEndpoint);
    thread_ = std::thread([this, socket = std::move(questions)]() mutable { serve(std::move(socket)); });
}

ZapHandler::~ZapHandler() {
    stopping_ = true;
    thread_.join();
}

void ZapHandler::protect_listening(zmq::socket_t& socket) const {
    socket.set(zmq::sockopt::zap_domain, "weft.mesh");
    socket.set(zmq::sockopt::curve_server, true);
    socket.set(zmq::sockopt::curve_secretkey, secret_key_);
}

void ZapHandler::protect_dialing(zmq::socket_t& socket, const std::string& server_key) const {
    socket.set(zmq::sockopt::curve_secretkey, secret_key_);
    socket.set(zmq::sockopt::curve_publickey, public_key_);
    socket.set(zmq::sockopt::curve_serverkey, server_key);
}

std::shared_ptr<const PeerKeys> ZapHandler::keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
}

std::string ZapHandler::judge(std::string_view key, std::string_view node) const {
    if (key == public_key_) return {};  // whoever has our secret key is us; what else it may not, others look at
    const auto allowed = keys();
    const PeerKeys::Key* const found = allowed->find(key);
    if (found == nullptr) return "its key is not among those of mesh.curve.allow";
    if (!found->node.empty() && found->node != node) {
        return "it is named " + std::string(node) + ", and its key is allowed for node " + found->node + " only";
    }
    return {};
}

void ZapHandler::write_news(Log& log, Instant now) {
    std::vector<News> news;
    std::uint64_t untold = 0;
    {
        const std::lock_guard lock(mutex_);
        news.swap(news_);
        untold = std::exchange(untold_, 0);
    }
    for (const News& one : news) {
        if (one.refused) {
            log.from_link(LogLevel::warn, "peer_key_refused",
                          {{"key", one.key.substr(0, kShownKey)}, {"address", one.address}, {"why", one.why}}, now);
        } else if (one.why.empty()) {
            log.info("peer_keys", {{"file", file_}, {"keys", one.keys}});
        } else {
            log.error("peer_keys_unreadable", {{"why", one.why + "; the old keys stay"}});
        }
    }
    if (untold > 0) log.from_link(LogLevel::warn, "peer_key_refused", {{"suppressed", untold}}, now);
}

void ZapHandler::serve(zmq::socket_t questions) {
    auto looked = std::chrono::steady_clock::now();
    while (!stopping_) {
        try {
            answer(questions);
        } catch (const zmq::error_t& error) {
            if (error.num() == ETERM) return;
        }
        const auto now = std::chrono::steady_clock::now();
        const bool asked = look_now_.exchange(false);
        if (!asked && now - looked < kLook) continue;
        looked = now;
        look_at_file(asked);
    }
}

/// ZeroMQ RFC 27: version, request id, domain, address, identity, mechanism, credentials; and the answer.
void ZapHandler::answer(zmq::socket_t& questions) {
    constexpr std::size_t kParts = 7;
    std::array<zmq::message_t, kParts> parts;
    std::size_t count = 0;
    for (bool more = true; more; ++count) {
        zmq::message_t part;
        if (!questions.recv(part)) return;
        more = part.more();
        if (count < kParts) parts[count] = std::move(part);
    }
    const auto& [version, request, domain, address, identity, mechanism, credentials] = parts;
    const bool understood = count == kParts && view(version) == "1.0" && view(mechanism) == "CURVE";
    const std::string key = understood ? key_text(credentials) : std::string();
    const bool admitted = !key.empty() && admits(key, view(address));
    const auto reply = [&](std::string_view text, bool last = false) {
        questions.send(zmq::buffer(text), last ? zmq::send_flags::none : zmq::send_flags::sndmore);
    };
    reply("1.0");
    reply(view(request));
    reply(admitted ? "200" : "400");
    reply(admitted ? "OK" : "this key is not allowed here");
    reply(admitted ? key : std::string());
    reply("", true);
}

bool ZapHandler::admits(std::string_view key, std::string_view address) {
    const auto allowed = keys();
    if (key == public_key_ || allowed->find(key) != nullptr) return true;
    News news;
    news.refused = true;
    news.key = key;
    news.address = address;
    news.why = "this key is not in " + file_;
    tell(std::move(news));
    return false;
}

/// Whoever replaces the file with care renames a new one into its place: a half written one is told and passes.
void ZapHandler::look_at_file(bool always) {
    std::string found = stamp();
    if (!always && found == stamp_) return;
    stamp_ = std::move(found);
    auto read = PeerKeys::load(file_);
    News news;
    if (!read) {
        news.why = read.error();
        return tell(std::move(news));
    }
    news.keys = read->all().size();
    {
        const std::lock_guard lock(mutex_);
        if (*keys_ == *read) return;
        keys_ = std::make_shared<const PeerKeys>(std::move(*read));
    }
    ++generation_;
    tell(std::move(news));
}

void ZapHandler::tell(News news) {
    const std::lock_guard lock(mutex_);
    if (news_.size() < kMaxNews) {
        news_.push_back(std::move(news));
    } else {
        ++untold_;
    }
}

std::string ZapHandler::stamp() const {
    struct stat found {};
    if (::stat(file_.c_str(), &found) != 0) return "none";
    return std::to_string(found.st_dev) + "." + std::to_string(found.st_ino) + "." + std::to_string(found.st_size) +
           "." + std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec) + "." +
           std::to_string(found.st_ctim.tv_sec) + "." + std::to_string(found.st_ctim.tv_nsec);
}

}  // namespace weft

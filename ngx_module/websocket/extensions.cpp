#include "websocket/extensions.hpp"

#include <algorithm>
#include <utility>

#include "websocket/header_text.hpp"

namespace weft::websocket {
namespace {

constexpr std::string_view kName = "permessage-deflate";
constexpr std::string_view kServerNoTakeover = "server_no_context_takeover";
constexpr std::string_view kClientNoTakeover = "client_no_context_takeover";
constexpr std::string_view kServerWindow = "server_max_window_bits";
constexpr std::string_view kClientWindow = "client_max_window_bits";

// Reads the list of RFC 6455 §9.1 from its front.
class Reader {
public:
    explicit Reader(std::string_view text) noexcept : rest_(text) {}

    // On to the next element of the list; false when there is none. Empty elements are passed over.
    bool next_element() noexcept {
        while (!rest_.empty() && (kBlanks.find(rest_.front()) != kBlanks.npos || rest_.front() == ',')) {
            rest_.remove_prefix(1);
        }
        element_ = rest_;
        return !rest_.empty();
    }

    // To the comma behind this element, wherever its reading ended: the first that isn't within quotes.
    void leave_element() noexcept {
        rest_ = element_;
        bool within = false;
        for (; !rest_.empty(); rest_.remove_prefix(1)) {
            const char c = rest_.front();
            if (within && c == '\\' && rest_.size() > 1) {
                rest_.remove_prefix(1);
            } else if (c == '"') {
                within = !within;
            } else if (c == ',' && !within) {
                return;
            }
        }
    }

    // Takes `c`, with the blanks around it, if it comes next.
    bool take(char c) noexcept {
        skip_blanks();
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        skip_blanks();
        return true;
    }

    [[nodiscard]] bool at_end_of_element() noexcept {
        skip_blanks();
        return rest_.empty() || rest_.front() == ',';
    }

    // Empty when none comes next.
    std::string_view token() noexcept {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_token_character);
        const auto size = static_cast<std::size_t>(end - rest_.begin());
        const std::string_view token = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return token;
    }

    // A token, or one in quotes: what is quoted must be a token too. `storage` holds it when it has escapes.
    std::string_view value(std::string& storage) {
        if (rest_.empty() || rest_.front() != '"') return token();
        rest_.remove_prefix(1);
        storage.clear();
        while (!rest_.empty() && rest_.front() != '"') {
            if (rest_.front() == '\\') rest_.remove_prefix(1);
            if (rest_.empty() || !is_token_character(rest_.front())) return {};
            storage += rest_.front();
            rest_.remove_prefix(1);
        }
        if (rest_.empty()) return {};
        rest_.remove_prefix(1);
        return storage;
    }

private:
    void skip_blanks() noexcept { rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size())); }

    std::string_view rest_;
    std::string_view element_;  // and all behind it
};

// One offer of permessage-deflate.
struct Offer {
    bool server_no_takeover = false;
    bool client_no_takeover = false;
    std::uint8_t server_window = 0;  // 0: not there
    std::uint8_t client_window = 0;  // 0: not there; there without a value: kMaxWindow
};

// §7.1.2: 8 to 15, without leading zeros. 0: it isn't.
std::uint8_t read_window(std::string_view text) noexcept {
    if (text == "8" || text == "9") return static_cast<std::uint8_t>(text[0] - '0');
    if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') {
        return static_cast<std::uint8_t>(10 + text[1] - '0');
    }
    return 0;
}

// False: the parameter is unknown, there already, or has a wrong value.
bool add_parameter(Offer& offer, std::string_view name, std::optional<std::string_view> value) noexcept {
    if (name == kServerNoTakeover) return !value && !std::exchange(offer.server_no_takeover, true);
    if (name == kClientNoTakeover) return !value && !std::exchange(offer.client_no_takeover, true);
    if (name == kServerWindow && value && offer.server_window == 0) {
        offer.server_window = read_window(*value);
        return offer.server_window != 0;
    }
    if (name == kClientWindow && offer.client_window == 0) {
        offer.client_window = value ? read_window(*value) : kMaxWindow;
        return offer.client_window != 0;
    }
    return false;
}

// Reads one element; nothing when it isn't an offer of permessage-deflate that can be understood.
std::optional<Offer> read_offer(Reader& reader) {
    if (reader.token() != kName) return std::nullopt;
    Offer offer;
    std::string storage;
    while (reader.take(';')) {
        const std::string_view name = reader.token();
        std::optional<std::string_view> value;
        if (reader.take('=')) {
            value = reader.value(storage);
            if (value->empty()) return std::nullopt;
        }
        if (!add_parameter(offer, name, value)) return std::nullopt;
    }
    if (!reader.at_end_of_element()) return std::nullopt;
    return offer;
}

std::optional<DeflateParameters> accept(const Offer& offer, const DeflatePolicy& policy) noexcept {
    DeflateParameters agreed;
    agreed.server_window = policy.server_window;
    if (offer.server_window != 0) agreed.server_window = std::min(agreed.server_window, offer.server_window);
    if (agreed.server_window < kMinWindow) return std::nullopt;
    if (offer.client_window != 0) agreed.client_window = std::min(policy.client_window, offer.client_window);
    agreed.server_takeover = policy.server_takeover && !offer.server_no_takeover;
    agreed.client_takeover =
        policy.client_takeover && !offer.client_no_takeover && agreed.client_window <= policy.client_window;
    return agreed;
}

std::string write_answer(const Offer& offer, const DeflateParameters& agreed) {
    std::string answer(kName);
    const auto add = [&answer](std::string_view name, std::uint8_t value = 0) {
        answer.append("; ").append(name);
        if (value != 0) answer.append("=").append(std::to_string(value));
    };
    if (!agreed.server_takeover) add(kServerNoTakeover);
    if (!agreed.client_takeover) add(kClientNoTakeover);
    // §7.1.2.1: a limit that was asked for is accepted by naming it.
    if (offer.server_window != 0 || agreed.server_window < kMaxWindow) add(kServerWindow, agreed.server_window);
    // §7.1.2.2: only for a client that said it knows the parameter.
    if (agreed.client_window < kMaxWindow) add(kClientWindow, agreed.client_window);
    return answer;
}

}  // namespace

std::optional<DeflateParameters> negotiate_deflate(std::string_view extensions, const DeflatePolicy& policy,
                                                   std::string& answer) {
    for (Reader reader(extensions); reader.next_element(); reader.leave_element()) {
        const auto offer = read_offer(reader);
        if (!offer) continue;
        const auto agreed = accept(*offer, policy);
        if (!agreed) continue;
        answer = write_answer(*offer, *agreed);
        return agreed;
    }
    return std::nullopt;
}

}  // namespace weft::websocket

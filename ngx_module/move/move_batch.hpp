// Connections that go to another worker at one moment: how far they are, and what becomes of each when it comes to
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "weft/time.hpp"

namespace weft {

/// `Client` stands for a connection, which this doesn't look into. By default none are under way.
template <class Client>
class MoveBatch {
public:
    enum class Stage : std::uint8_t {
        announced,  // the other worker has heard who is about to come
        marking,    // it awaits them, and weftd is asked for the moment
        sent,       // the moment has come everywhere, and they are on their way
    };

    [[nodiscard]] bool empty() const noexcept { return left_ == 0; }
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] Stage stage() const noexcept { return stage_; }
    /// How many are still ours to care for.
    [[nodiscard]] std::size_t left() const noexcept { return left_; }
    [[nodiscard]] std::size_t size() const noexcept { return clients_.size(); }
    /// The one at `index`, any number that the other worker may say; null when it is done with, or never was.
    [[nodiscard]] Client* at(std::uint64_t index) const noexcept {
        return index < clients_.size() ? clients_[index] : nullptr;
    }
    /// Whether what is said of batch `number` is meant for this one, and it is that far.
    [[nodiscard]] bool is(std::uint64_t number, Stage stage) const noexcept {
        return !empty() && number_ == number && stage_ == stage;
    }

    /// These, at least one, are announced under `number`. It must be empty.
    void announce(std::uint64_t number, std::vector<Client*> clients) noexcept {
        number_ = number;
        clients_ = std::move(clients);
        left_ = clients_.size();
        stage_ = Stage::announced;
        marks_ = 0;
    }
    /// They are awaited.
    void mark() noexcept { stage_ = Stage::marking; }
    /// One of weftd's `shards` has told the moment. True: it was the last, and they can be sent.
    bool on_marked(unsigned shards) noexcept {
        if (++marks_ < shards) return false;
        stage_ = Stage::sent;
        return true;
    }
    /// The next that is heard of it is due by `when`.
    void expect_by(Instant when) noexcept { due_ = when; }
    [[nodiscard]] bool overdue(Instant now) const noexcept { return !empty() && now >= due_; }
    /// The one at `index` is done with, whatever became of it.
    void settle(std::size_t index) noexcept {
        clients_[index] = nullptr;
        --left_;
        if (left_ == 0) clients_.clear();
    }
    /// The index of `client`, or size() if it isn't among them.
    [[nodiscard]] std::size_t find(const Client& client) const noexcept {
        std::size_t index = 0;
        while (index < clients_.size() && clients_[index] != &client) ++index;
        return index;
    }

    /// Whether the other worker can be told that one isn't coming: not any more once it was sent.
    [[nodiscard]] bool can_be_called_off() const noexcept { return stage_ != Stage::sent; }
    /// Whether those that are left can be served here on, and go some other time. Who has left some of its channels, by
    /// a shard's mark, has missed what was said there since.
    [[nodiscard]] bool can_stay() const noexcept { return stage_ != Stage::sent && marks_ == 0; }

private:
    std::uint64_t number_ = 0;
    std::vector<Client*> clients_;  // by their index in Leaving; null: done with
    std::size_t left_ = 0;
    Instant due_{};
    unsigned marks_ = 0;  // that have come
    Stage stage_ = Stage::announced;
};

}  // namespace weft

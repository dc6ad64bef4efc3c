// What was asked of weftd and isn't answered yet. Answers come in any order; most come soon and nearly in turn, so the
// latest requests stand in a row and cost no allocation of their own. One that is still unanswered when many others
// have come after it is put aside, so that it holds no room but its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weft {

/// `Request` must be movable, and say by `open` whether it waits; the table sets that.
template <class Request>
class RequestTable {
public:
    static constexpr std::size_t kMax = 65'536;  // that wait
    static constexpr std::size_t kRow = 4'096;   // slots in the row, those that were answered out of turn among them

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool full() const noexcept { return size_ >= kMax; }

    /// Its number: from 1 on, each one more than the last. The table must not be full.
    std::uint64_t add(Request request) {
        if (row_.size() >= kRow) {
            aside_.emplace(first_++, std::move(row_.front()));
            row_.pop_front();
            trim();
        }
        request.open = true;
        row_.push_back(std::move(request));
        ++size_;
        return first_ + row_.size() - 1;
    }

    /// Null when nothing waits under this number.
    [[nodiscard]] Request* find(std::uint64_t number) noexcept {
        if (number >= first_ && number - first_ < row_.size()) {
            Request& request = row_[number - first_];
            return request.open ? &request : nullptr;
        }
        const auto place = aside_.find(number);
        return place == aside_.end() ? nullptr : &place->second;
    }

    /// Takes it out; not `open` when nothing waits under this number.
    Request take(std::uint64_t number) {
        Request* const found = find(number);
        if (found == nullptr) return {};
        Request request = std::move(*found);
        --size_;
        if (number < first_) {
            aside_.erase(number);
        } else {
            *found = Request();
            trim();
        }
        return request;
    }

    /// `visit` neither adds nor takes.
    template <class Visit>
    void for_each(Visit visit) {
        for (auto& [number, request] : aside_) visit(request);
        for (Request& request : row_) {
            if (request.open) visit(request);
        }
    }

    /// Of all that wait, in the order in which they were added.
    [[nodiscard]] std::vector<std::uint64_t> numbers() const {
        std::vector<std::uint64_t> numbers;
        for (const auto& [number, request] : aside_) numbers.push_back(number);
        std::ranges::sort(numbers);
        for (std::size_t i = 0; i < row_.size(); ++i) {
            if (row_[i].open) numbers.push_back(first_ + i);
        }
        return numbers;
    }

private:
    void trim() {
        while (!row_.empty() && !row_.front().open) {
            row_.pop_front();
            ++first_;
        }
    }

    std::deque<Request> row_;  // number = first_ + index; its front waits
    std::uint64_t first_ = 1;
    std::unordered_map<std::uint64_t, Request> aside_;  // numbers below first_; they wait
    std::size_t size_ = 0;
};

}  // namespace weft

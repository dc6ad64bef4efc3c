#include "io/name_lookup.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

namespace weft {

NameLookup::NameLookup(std::chrono::milliseconds every, Resolve resolve)
    : every_(every), resolve_(std::move(resolve)), thread_([this] { run(); }) {}

NameLookup::~NameLookup() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void NameLookup::set_names(std::vector<std::string> names) {
    {
        const std::lock_guard lock(mutex_);
        names_ = std::move(names);
        news_.clear();
        renamed_ = true;
    }
    changed_.notify_all();
}

std::vector<NameLookup::Answer> NameLookup::news() {
    const std::lock_guard lock(mutex_);
    return std::exchange(news_, {});
}

void NameLookup::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        renamed_ = false;
        for (const std::string& name : std::vector(names_)) {
            lock.unlock();
            Answer answer = resolve_(name);
            lock.lock();
            if (stopping_) return;
            if (renamed_) break;
            std::erase_if(news_, [&](const Answer& old) { return old.name == name; });
            news_.push_back(std::move(answer));
        }
        changed_.wait_for(lock, every_, [this] { return renamed_ || stopping_; });
    }
}

NameLookup::Answer NameLookup::ask_the_system(const std::string& name) {
    Answer answer;
    answer.name = name;
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(name.c_str(), nullptr, &wanted, &found); error != 0) {
        answer.error = ::gai_strerror(error);
        return answer;
    }
    for (const addrinfo* one = found; one != nullptr && answer.addresses.size() < kMaxAddresses; one = one->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
            continue;
        }
        if (std::ranges::find(answer.addresses, text.data()) == answer.addresses.end()) {
            answer.addresses.emplace_back(text.data());
        }
    }
    ::freeaddrinfo(found);
    return answer;
}

}  // namespace weft

// Addresses of names, asked for again and again: of the system's resolver (/etc/hosts, DNS), in a thread of its own,
// since that blocks for as long as the name servers please.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weft {

class NameLookup {
public:
    static constexpr std::size_t kMaxAddresses = 64;  // of one answer; more are left out

    struct Answer {
        std::string name;
        std::vector<std::string> addresses;  // IPv4 and IPv6, as text
        std::string error;                   // why there are none
    };
    using Resolve = std::function<Answer(const std::string& name)>;

    explicit NameLookup(std::chrono::milliseconds every, Resolve resolve = ask_the_system);
    /// Waits for the answer that is under way.
    ~NameLookup();
    NameLookup(const NameLookup&) = delete;
    NameLookup& operator=(const NameLookup&) = delete;

    /// Asks for these from now on, at once and then every so often.
    void set_names(std::vector<std::string> names);
    /// The answers since the last call, at most one a name. Never blocks.
    [[nodiscard]] std::vector<Answer> news();

    static Answer ask_the_system(const std::string& name);

private:
    void run();

    std::chrono::milliseconds every_;
    Resolve resolve_;
    std::mutex mutex_;  // of what follows
    std::condition_variable changed_;
    std::vector<std::string> names_;
    std::vector<Answer> news_;
    bool renamed_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace weft

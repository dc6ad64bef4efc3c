// A real weftd as a child process, whose log can be waited for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace weft::e2e {

inline constexpr std::chrono::seconds kPatience{30};  // for anything that must happen; busy machines are slow

class WeftdProcess {
public:
    /// Starts `weftd` with these arguments. `environment`: "NAME=value" added to ours.
    explicit WeftdProcess(std::vector<std::string> arguments, std::vector<std::string> environment = {});
    /// Kills it if it still runs.
    ~WeftdProcess();
    WeftdProcess(const WeftdProcess&) = delete;
    WeftdProcess& operator=(const WeftdProcess&) = delete;

    /// Waits until a line of its output (standard error and output together) from number `from` on holds all of
    /// `parts`; returns that line, or nothing after kPatience or when the process has ended without it.
    std::optional<std::string> wait_for(std::vector<std::string_view> parts, std::size_t from = 0);

    void signal(int number) const;
    /// Waits for the end; returns the exit code, 128 + n after a signal n, -1 after kPatience.
    int wait();
    void kill();

    [[nodiscard]] std::string output();
    [[nodiscard]] std::size_t lines();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
    void read_output(int fd);

    pid_t pid_ = -1;
    std::optional<int> code_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> lines_;
    bool ended_ = false;
    std::thread reader_;
};

/// A folder for one test, removed at the end.
class Folder {
public:
    Folder();
    ~Folder();
    [[nodiscard]] std::string path(std::string_view name) const { return (path_ / name).string(); }
    std::string write(std::string_view name, std::string_view text) const;  // returns the path

private:
    std::filesystem::path path_;
};

/// A port on 127.0.0.1 that was free a moment ago.
int free_port();

}  // namespace weft::e2e

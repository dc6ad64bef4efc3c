#include "e2e/weftd_process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>

namespace weft::e2e {

WeftdProcess::WeftdProcess(std::vector<std::string> arguments, std::vector<std::string> environment) {
    arguments.insert(arguments.begin(), WEFTD_BINARY);
    for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    std::vector<char*> argv;
    std::vector<char*> envp;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    for (std::string& entry : environment) envp.push_back(entry.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    const int error = posix_spawn(&pid_, WEFTD_BINARY, &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) throw std::runtime_error("can't start " WEFTD_BINARY);
    reader_ = std::thread([this, fd = ends[0]] { read_output(fd); });
}

WeftdProcess::~WeftdProcess() {
    kill();
    reader_.join();
}

std::optional<std::string> WeftdProcess::wait_for(std::vector<std::string_view> parts, std::size_t from) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (std::size_t at = from;;) {
        for (; at < lines_.size(); ++at) {
            const std::string& line = lines_[at];
            if (std::ranges::all_of(parts, [&](auto part) { return line.find(part) != std::string::npos; }))
                return line;
        }
        if (ended_ || changed_.wait_until(lock, deadline) == std::cv_status::timeout) return std::nullopt;
    }
}

void WeftdProcess::signal(int number) const {
    if (!code_) ::kill(pid_, number);
}

int WeftdProcess::wait() {
    {
        // Its output ends when it ends.
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, kPatience, [this] { return ended_; })) return -1;
    }
    if (!code_) {
        int status = 0;
        waitpid(pid_, &status, 0);
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return *code_;
}

void WeftdProcess::kill() {
    signal(SIGKILL);
    wait();
}

std::string WeftdProcess::output() {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
}

std::size_t WeftdProcess::lines() {
    const std::lock_guard lock(mutex_);
    return lines_.size();
}

void WeftdProcess::read_output(int fd) {
    std::string rest;
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
        rest.append(buffer, static_cast<std::size_t>(n));
        const std::lock_guard lock(mutex_);
        for (std::size_t end; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1)) {
            lines_.push_back(rest.substr(0, end));
        }
        changed_.notify_all();
    }
    close(fd);
    const std::lock_guard lock(mutex_);
    if (!rest.empty()) lines_.push_back(rest);
    ended_ = true;
    changed_.notify_all();
}

Folder::Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-e2e-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
}

Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(std::string_view name, std::string_view text) const {
    std::ofstream(path(name), std::ios::trunc) << text;
    return path(name);
}

int free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool ok = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    close(fd);
    if (!ok) throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
}

}  // namespace weft::e2e

// One call of a webhook as libcurl makes it.
#pragma once

#include <curl/curl.h>

#include <string>

#include "call/hook_lane.hpp"
#include "hook/hook_client.hpp"

namespace weft {

class Transfer {
public:
    /// How it ended.
    struct End {
        CallOutcome outcome = CallOutcome::failed;
        bool again = false;  // trying it again can't do anything twice
        std::chrono::milliseconds retry_after{0};
        std::string why;
    };

    Transfer();
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    /// Makes the request ready. `id` is the same for each try; `target` must outlive the transfer.
    void prepare(const HookClient::Target& target, HookLane::Waiting call, std::string id, const std::string& software);
    /// To be called before each try.
    void begin(Instant now, std::int64_t unix_seconds);
    /// libcurl is done with it. The body of an answer that is one is in answer().
    [[nodiscard]] End end(CURLcode result);

    [[nodiscard]] CURL* handle() noexcept { return handle_; }
    [[nodiscard]] const HookLane::Waiting& call() const noexcept { return call_; }
    [[nodiscard]] const std::string& answer() const noexcept { return answer_; }
    [[nodiscard]] int tries() const noexcept { return tries_; }

private:
    static std::size_t read(char* to, std::size_t size, std::size_t count, void* self) noexcept;
    static int seek(void* self, curl_off_t offset, int origin) noexcept;
    static std::size_t write(const char* from, std::size_t size, std::size_t count, void* self) noexcept;
    static int before_request(void* self, char*, char*, int, int) noexcept;

    CURL* handle_;
    curl_slist* headers_ = nullptr;
    const HookClient::Target* target_ = nullptr;
    HookLane::Waiting call_;
    std::string id_;
    std::string software_;
    std::string answer_;
    std::size_t sent_ = 0;  // bytes of the body that libcurl has taken
    bool too_long_ = false;
    int tries_ = 0;
    char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace weft

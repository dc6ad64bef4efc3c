// A request to weft_api on its way: its commands go to weftd at once, in order, and when all of them have been answered
// so is the request.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "codec/json_codec.hpp"
#include "gateway/api_command.hpp"
#include "gateway/gateway.hpp"

namespace weft {

/// An HTTP answer.
struct ApiAnswer {
    unsigned status = 0;
    std::string json;
    std::chrono::milliseconds retry_after{0};  // 0: not said
};

/// The HTTP status that says the same as a code.
[[nodiscard]] unsigned http_status(Code code) noexcept;

/// {"code":…,"reason":…,"message":…}, with the status that fits.
[[nodiscard]] ApiAnswer api_error(const event::Error& error);

/// What the answer to a request says by itself. Answers to what changes something have 202, others 200.
[[nodiscard]] ApiAnswer api_answer(const ServerFrame& answer);

class ApiCall final : public RequestObserver {
public:
    /// Bytes of all answers to a batch; answers to reads that go beyond it are an error of their own.
    static constexpr std::size_t kMaxAnswer = std::size_t{1} << 20;

    class Owner {
    public:
        virtual ~Owner() = default;
        /// Once, from within run() or later. May destroy the call.
        virtual void on_api_answer(const ApiAnswer& answer) = 0;
    };

    /// Both must outlive this; and until it has been answered, Gateway::cancel() comes before its end. What was asked
    /// of weftd by then is carried out all the same.
    ApiCall(Gateway& gateway, Owner& owner) : gateway_(gateway), owner_(owner) {}
    ApiCall(const ApiCall&) = delete;
    ApiCall& operator=(const ApiCall&) = delete;

    /// Once. `key`: whose key was shown, null when none was asked for: nginx let the request in.
    void run(const ApiRequest& request, const Identity* key);
    [[nodiscard]] bool answered() const noexcept { return open_ == 0; }

    void on_answer(const ServerFrame& answer) override;

private:
    struct Part {
        std::string channel;  // of a broadcast
        ApiAnswer answer;
    };
    struct Command {
        std::size_t parts;  // that belong to it; they stand one behind the other
        bool broadcast;
    };

    void start(const ApiCommand& command, const Identity* key);
    /// What the key doesn't grant is answered here.
    bool refuse(std::size_t part, const ApiCommand& command, const Identity* key, std::string_view channel);
    void settle(std::size_t part, ApiAnswer answer);
    [[nodiscard]] ApiAnswer whole() const;

    Gateway& gateway_;
    Owner& owner_;
    std::vector<Part> parts_;
    std::vector<Command> commands_;
    bool batch_ = false;
    bool running_ = false;
    std::size_t open_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace weft

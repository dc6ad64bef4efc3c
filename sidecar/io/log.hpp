// weftd's log: one line an event, to standard error.
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>

#include "config.hpp"
#include "log_line.hpp"
#include "weft/time.hpp"

namespace spdlog {
class logger;
}

namespace weft {

/// One thread uses one Log; those that of_shard() gives write to the same place.
class Log {
public:
    explicit Log(const Config::Log& settings);
    ~Log();

    /// The same log for another thread; its lines say which shard they are of.
    [[nodiscard]] Log of_shard(unsigned shard) const;

    using Fields = std::initializer_list<LogField>;
    void debug(std::string_view event, Fields fields) { write(LogLevel::debug, event, fields); }
    void info(std::string_view event, Fields fields) { write(LogLevel::info, event, fields); }
    void warn(std::string_view event, Fields fields) { write(LogLevel::warn, event, fields); }
    void error(std::string_view event, Fields fields) { write(LogLevel::error, event, fields); }

    /// For events that the other end of a link can cause: at most kBurst lines at once and kPerSecond in the long run,
    /// all such events of a shard together. The next line after a pause says how many were left out (`suppressed`).
    void from_link(LogLevel level, std::string_view event, Fields fields, Instant now);
    static constexpr int kBurst = 100;
    static constexpr int kPerSecond = 10;

private:
    void write(LogLevel level, std::string_view event, std::span<const LogField> fields);

    std::shared_ptr<spdlog::logger> logger_;
    LogFormat format_;
    int shard_ = -1;  // none
    int allowed_ = kBurst;
    Instant refilled_{};
    std::uint64_t suppressed_ = 0;
};

}  // namespace weft

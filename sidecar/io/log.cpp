#include "io/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

namespace weft {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

}  // namespace

Log::Log(const Config::Log& settings)
    : logger_(std::make_shared<spdlog::logger>("weftd", std::make_shared<spdlog::sinks::stderr_sink_mt>())),
      format_(settings.format) {
    const char* pattern = settings.format == LogFormat::json
                              ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",%v}"
                              : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
    logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
    logger_->set_level(spdlog_level(settings.level));
    logger_->flush_on(spdlog::level::debug);
}

Log::~Log() = default;

Log Log::of_shard(unsigned shard) const {
    Log log(*this);
    log.shard_ = static_cast<int>(shard);
    return log;
}

void Log::write(LogLevel level, std::string_view event, std::span<const LogField> fields) {
    const auto at = spdlog_level(level);
    if (!logger_->should_log(at)) return;
    if (shard_ < 0) {
        logger_->log(at, spdlog::string_view_t(log_line(format_, event, fields)));
        return;
    }
    std::vector<LogField> more(fields.begin(), fields.end());
    more.emplace_back("shard", shard_);
    logger_->log(at, spdlog::string_view_t(log_line(format_, event, more)));
}

void Log::from_link(LogLevel level, std::string_view event, Fields fields, Instant now) {
    if (!logger_->should_log(spdlog_level(level))) return;
    const auto earned = (now - refilled_).count() * kPerSecond / 1000;
    if (earned > 0) {
        allowed_ = static_cast<int>(std::min<std::int64_t>(kBurst, allowed_ + earned));
        refilled_ = now;
    }
    if (allowed_ == 0) {
        ++suppressed_;
        return;
    }
    --allowed_;
    if (suppressed_ == 0) {
        write(level, event, fields);
        return;
    }
    std::vector<LogField> more(fields);
    more.emplace_back("suppressed", suppressed_);
    suppressed_ = 0;
    write(level, event, more);
}

}  // namespace weft

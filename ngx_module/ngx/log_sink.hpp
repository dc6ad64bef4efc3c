// Where a weft_log's lines go: a file, or a syslog server.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "ngx/ngx.hpp"

namespace weft {

class LogSink {
public:
    /// Opens what the directive's first argument names. False after logging what is wrong with it. nginx itself opens
    /// files, and opens them again on USR1.
    bool open(ngx_conf_t* cf);

    /// Writes a line; the line break is added, and whatever else goes with it. An error is told in nginx's error log,
    /// once a minute at most, and loses the line; once the disk is full, nothing is tried for the rest of that second.
    void write(std::string& line) noexcept;

private:
    static constexpr std::time_t kQuiet = 59;  // seconds between two complaints, as nginx has it for access logs

    void write_to_file(std::string& line);
    void write_to_syslog(const std::string& line);

    ngx_open_file_t* file_ = nullptr;
    ngx_syslog_peer_t* syslog_ = nullptr;
    std::time_t disk_full_ = 0;  // when that was found
    std::time_t complained_ = 0;
};

}  // namespace weft

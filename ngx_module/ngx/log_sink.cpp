#include "ngx/log_sink.hpp"

#include "ngx/conf_values.hpp"

namespace weft {

bool LogSink::open(ngx_conf_t* cf) {
    ngx_str_t& path = args(cf)[1];
    if (view(path).starts_with("syslog:")) {
        syslog_ = static_cast<ngx_syslog_peer_t*>(ngx_pcalloc(cf->pool, sizeof(ngx_syslog_peer_t)));
        return syslog_ != nullptr && ngx_syslog_process_conf(cf, syslog_) == NGX_CONF_OK;
    }
    if (path.len == 0 || ngx_http_script_variables_count(&path) > 0) {
        fail(cf, "invalid path " + quoted(path) +
                     " in \"weft_log\", expected a file's name without variables, syslog:server=ADDRESS, or off");
        return false;
    }
    file_ = ngx_conf_open_file(cf->cycle, &path);
    return file_ != nullptr;
}

void LogSink::write(std::string& line) noexcept {
    try {
        if (syslog_ != nullptr) {
            write_to_syslog(line);
        } else {
            write_to_file(line);
        }
    } catch (const std::exception&) {  // no memory; nor for a complaint
    }
}

void LogSink::write_to_file(std::string& line) {
    const std::time_t now = ngx_time();
    if (disk_full_ == now) return;
    line += '\n';
    const ssize_t written =
        ngx_write_fd(file_->fd, reinterpret_cast<u_char*>(line.data()), line.size());  // one write: lines stay whole
    if (written == static_cast<ssize_t>(line.size())) return;
    const ngx_err_t error = written == -1 ? ngx_errno : 0;
    if (error == NGX_ENOSPC) disk_full_ = now;
    if (now - complained_ <= kQuiet) return;
    complained_ = now;
    if (written == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, error, "weft: writing to \"%V\" failed", &file_->name);
    } else {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0, "weft: only %z of %uz bytes could be written to \"%V\"",
                      written, line.size(), &file_->name);
    }
}

void LogSink::write_to_syslog(const std::string& line) {
    u_char head[sizeof("<255>Jan 01 00:00:00 ") + NGX_MAXHOSTNAMELEN + sizeof(" : ") + 32];  // 32: of the tag at most
    const u_char* end = ngx_syslog_add_header(syslog_, head);
    std::string packet(reinterpret_cast<const char*>(head), static_cast<std::size_t>(end - head));
    packet += line;
    const ssize_t sent = ngx_syslog_send(syslog_, reinterpret_cast<u_char*>(packet.data()), packet.size());
    if (sent == static_cast<ssize_t>(packet.size())) return;
    const std::time_t now = ngx_time();
    if (now - complained_ <= kQuiet) return;
    complained_ = now;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "weft: a line could not be sent to syslog");
}

}  // namespace weft

#include "ngx/log_format.hpp"

#include <algorithm>
#include <cstring>

#include "ngx/conf_values.hpp"
#include "ngx/variables.hpp"

namespace weft {

namespace {

constexpr std::string_view kDefaultLine =
    "$remote_addr - $weft_user [$time_local] \"$weft_request_uri\" $weft_close_code $weft_duration "
    "$weft_messages_in $weft_messages_out $weft_bytes_in $weft_bytes_out \"$http_user_agent\"";

bool is_name(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/// Seconds with milliseconds, as nginx writes $request_time.
void append_seconds(std::string& line, std::int64_t milliseconds) {
    const std::string fraction = std::to_string(1000 + milliseconds % 1000);
    line.append(std::to_string(milliseconds / 1000)).append(1, '.').append(fraction, 1);
}

void append_cached(std::string& line, const volatile ngx_str_t& text) {
    line.append(reinterpret_cast<const char*>(text.data), text.len);
}

}  // namespace

// --- KeptText ---

void KeptText::add(const ngx_http_variable_value_t* value, LogEscape escape) {
    const std::size_t at = bytes_.size();
    bytes_.append(sizeof(std::uint16_t), '\0');
    const std::size_t begin = bytes_.size();
    const std::size_t room = std::min(room_, kMaxValue);
    if (value != nullptr && value->not_found == 0) {
        append_escaped(bytes_, {reinterpret_cast<const char*>(value->data), value->len}, escape, room);
    } else if (room > 0) {
        append_absent(bytes_, escape);
    }
    const auto size = static_cast<std::uint16_t>(bytes_.size() - begin);
    static_assert(kMaxValue <= UINT16_MAX);
    std::memcpy(bytes_.data() + at, &size, sizeof size);
    room_ -= size;
}

std::string_view KeptText::Reader::next() noexcept {
    std::uint16_t size = 0;
    std::memcpy(&size, rest_.data(), sizeof size);
    const std::string_view text = rest_.substr(sizeof size, size);
    rest_.remove_prefix(sizeof size + size);
    return text;
}

bool KeptText::Reader::next_flag() noexcept {
    const bool flag = rest_.front() != '\0';
    rest_.remove_prefix(1);
    return flag;
}

// --- LogFormat ---

const LogFormat::EndName LogFormat::kEndNames[] = {
    {"weft_user", End::user},
    {"weft_client_id", End::client_id},
    {"weft_close_code", End::close_code},
    {"weft_closed_by", End::closed_by},
    {"weft_duration", End::duration},
    {"weft_messages_in", End::messages_in},
    {"weft_messages_out", End::messages_out},
    {"weft_bytes_in", End::bytes_in},
    {"weft_bytes_out", End::bytes_out},
    {"time_local", End::time_local},
    {"time_iso8601", End::time_iso8601},
    {"msec", End::msec},
};

bool LogFormat::add(ngx_conf_t* cf, const ngx_str_t& text, const char* directive) {
    const std::string_view all = view(text);
    said_.append(all);
    for (std::size_t at = 0; at < all.size();) {
        if (all[at] != '$') {
            const std::size_t end = std::min(all.find('$', at), all.size());
            pieces_.push_back({Piece::Kind::literal});
            pieces_.back().literal = all.substr(at, end - at);
            at = end;
            continue;
        }
        const bool braced = at + 1 < all.size() && all[at + 1] == '{';
        const std::size_t begin = at + (braced ? 2 : 1);
        std::size_t end = begin;
        while (end < all.size() && is_name(all[end])) ++end;
        if (end == begin || (braced && (end == all.size() || all[end] != '}'))) {
            fail(cf, "invalid variable in " + quoted(text) + " of \"" + directive + "\", expected $name or ${name}");
            return false;
        }
        if (!add_variable(cf, {end - begin, text.data + begin})) return false;
        at = end + (braced ? 1 : 0);
    }
    return true;
}

bool LogFormat::add_variable(ngx_conf_t* cf, ngx_str_t name) {
    for (const EndName& known : kEndNames) {
        if (view(name) == known.name) {
            pieces_.push_back({Piece::Kind::end, known.value});
            needs_end_ = true;
            return true;
        }
    }
    const ngx_int_t index = ngx_http_get_variable_index(cf, &name);  // nginx says later if nobody has it
    if (index == NGX_ERROR) return false;
    pieces_.push_back({Piece::Kind::kept, {}, static_cast<ngx_uint_t>(index)});
    return true;
}

void LogFormat::keep(ngx_http_request_t* request, KeptText& kept) const {
    for (const Piece& piece : pieces_) {
        if (piece.kind == Piece::Kind::kept) kept.add(ngx_http_get_flushed_variable(request, piece.index), escape_);
    }
}

void LogFormat::write(std::string& line, KeptText::Reader& kept, const ConnectionEnd* end) const {
    for (const Piece& piece : pieces_) {
        switch (piece.kind) {
            case Piece::Kind::literal: line.append(piece.literal); break;
            case Piece::Kind::kept: line.append(kept.next()); break;
            case Piece::Kind::end:
                if (end != nullptr) write_end(line, piece.end, *end);
                break;
        }
    }
}

void LogFormat::write_end(std::string& line, End value, const ConnectionEnd& end) const {
    switch (value) {
        case End::user:
            if (end.user.empty()) {
                append_absent(line, escape_);
            } else {
                append_escaped(line, end.user, escape_, KeptText::kMaxValue);
            }
            break;
        case End::client_id:
            if (end.client_id == 0) {
                append_absent(line, escape_);
            } else {
                append_client_id(line, end.client_id);
            }
            break;
        case End::close_code: line.append(std::to_string(end.close_code)); break;
        case End::closed_by:
            if (end.closed_by == ConnectionEnd::By::nobody) {
                append_absent(line, escape_);
            } else {
                line.append(end.closed_by == ConnectionEnd::By::client ? "client" : "server");
            }
            break;
        case End::duration: append_seconds(line, end.duration.count()); break;
        case End::messages_in: line.append(std::to_string(end.tally.messages_in)); break;
        case End::messages_out: line.append(std::to_string(end.tally.messages_out)); break;
        case End::bytes_in: line.append(std::to_string(end.tally.bytes_in)); break;
        case End::bytes_out: line.append(std::to_string(end.tally.bytes_out)); break;
        case End::time_local: append_cached(line, ngx_cached_http_log_time); break;
        case End::time_iso8601: append_cached(line, ngx_cached_http_log_iso8601); break;
        case End::msec: append_seconds(line, wall_now().time_since_epoch().count()); break;
    }
}

// --- names ---

const LogFormat* find_log_format(ngx_conf_t* cf, LogFormats& formats, std::string_view name) {
    for (const NamedLogFormat& known : formats) {
        if (known.name == name) return &known.format;
    }
    if (name != kDefaultLogFormat) {
        fail(cf, "unknown format \"" + std::string(name) +
                     "\" in \"weft_log\", expected one that a \"weft_log_format\" above defines, or \"" +
                     std::string(kDefaultLogFormat) + "\"");
        return nullptr;
    }
    formats.push_back({std::string(name), LogFormat(LogEscape::standard)});
    const ngx_str_t line{kDefaultLine.size(), reinterpret_cast<u_char*>(const_cast<char*>(kDefaultLine.data()))};
    return formats.back().format.add(cf, line, "weft_log") ? &formats.back().format : nullptr;
}

}  // namespace weft

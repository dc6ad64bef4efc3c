#include "hook/transfer.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "call/signature.hpp"

namespace weft {

Transfer::Transfer() : handle_(curl_easy_init()) {
    if (handle_ == nullptr) throw std::bad_alloc();
}

Transfer::~Transfer() {
    curl_easy_cleanup(handle_);
    curl_slist_free_all(headers_);
}

void Transfer::prepare(const HookClient::Target& target, HookLane::Waiting call, std::string id,
                       const std::string& software) {
    target_ = &target;
    call_ = std::move(call);
    id_ = std::move(id);
    tries_ = 0;
    const auto set = [this](CURLoption option, auto value) { curl_easy_setopt(handle_, option, value); };
    curl_easy_reset(handle_);  // keeps connections
    set(CURLOPT_URL, target.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_PROXY, "");  // whatever the environment says: the back end is where the configuration says it is
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call_.call.body.size()));
    set(CURLOPT_USERAGENT, software.c_str());
    set(CURLOPT_READFUNCTION, &Transfer::read);
    set(CURLOPT_READDATA, this);
    set(CURLOPT_SEEKFUNCTION, &Transfer::seek);
    set(CURLOPT_SEEKDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Transfer::write);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_PREREQFUNCTION, &Transfer::before_request);
    set(CURLOPT_PREREQDATA, this);
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_PRIVATE, this);
}

void Transfer::begin(Instant now, std::int64_t unix_seconds) {
    ++tries_;
    sent_ = 0;
    answer_.clear();
    too_long_ = false;
    error_[0] = '\0';
    curl_slist_free_all(std::exchange(headers_, nullptr));
    const auto add = [this](const std::string& line) { headers_ = curl_slist_append(headers_, line.c_str()); };
    const std::string timestamp = std::to_string(unix_seconds);
    add("Content-Type: application/json");
    add("Expect:");  // a round trip less
    add("webhook-id: " + id_);
    add("webhook-timestamp: " + timestamp);
    if (!target_->key.empty()) {
        add("webhook-signature: " + webhook_signature(target_->key, id_, timestamp, call_.call.body));
    }
    for (const std::string& header : target_->headers) add(header);
    curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(handle_, CURLOPT_TIMEOUT_MS,
                     static_cast<long>(std::max<std::int64_t>(1, (call_.until - now).count())));
}

Transfer::End Transfer::end(CURLcode result) {
    End end;
    const std::string said = error_[0] != '\0' ? error_ : curl_easy_strerror(result);
    switch (result) {
        case CURLE_OK: {
            long status = 0;
            curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
            if (status >= 200 && status < 300) return end.outcome = CallOutcome::allowed, end;
            curl_off_t seconds = 0;
            curl_easy_getinfo(handle_, CURLINFO_RETRY_AFTER, &seconds);
            end.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(seconds, 0, 3600));
            end.why = "status " + std::to_string(status);
            return end;
        }
        case CURLE_WRITE_ERROR:
            if (!too_long_) break;
            end.why = "the answer is longer than " + std::to_string(target_->max_answer) + " bytes";
            return end;
        case CURLE_OPERATION_TIMEDOUT:
            end.outcome = CallOutcome::timed_out;
            end.why = said;
            return end;
        default: break;
    }
    end.outcome = CallOutcome::unreachable;
    // Those two are our own no to libcurl's asking whether to send it again.
    const bool broke = result == CURLE_SEND_FAIL_REWIND || result == CURLE_ABORTED_BY_CALLBACK;
    end.why = broke ? "the connection broke before an answer came" : said;
    end.again = sent_ == 0 || repeatable(call_.call.hook);
    return end;
}

std::size_t Transfer::read(char* to, std::size_t size, std::size_t count, void* self) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::string& body = transfer.call_.call.body;
    const std::size_t bytes = body.copy(to, size * count, transfer.sent_);
    transfer.sent_ += bytes;
    return bytes;
}

// libcurl sends a request again by itself when a connection that it kept turns out to be dead before an answer came;
// it asks for the body's beginning then. A back end may have acted on what it got, and only its death be news.
int Transfer::seek(void* self, curl_off_t offset, int origin) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    if (offset != 0 || origin != SEEK_SET || !repeatable(transfer.call_.call.hook)) return CURL_SEEKFUNC_FAIL;
    transfer.sent_ = 0;
    return CURL_SEEKFUNC_OK;
}

// ... and it doesn't ask when it believes that nothing of the body has left.
int Transfer::before_request(void* self, char*, char*, int, int) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    if (transfer.sent_ != 0 && !repeatable(transfer.call_.call.hook)) return CURL_PREREQFUNC_ABORT;
    transfer.sent_ = 0;
    return CURL_PREREQFUNC_OK;
}

std::size_t Transfer::write(const char* from, std::size_t size, std::size_t count, void* self) noexcept {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::size_t bytes = size * count;
    try {
        if (transfer.answer_.size() + bytes > transfer.target_->max_answer) {
            transfer.too_long_ = true;
            return 0;  // ends it with CURLE_WRITE_ERROR
        }
        transfer.answer_.append(from, bytes);
        return bytes;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

}  // namespace weft

// weft_api: what back ends and operators ask of Weft by HTTP. The last segment of the path names the command, its
// parameters are a JSON object in the body of a POST.
#include <memory>
#include <string>

#include "gateway/api_call.hpp"
#include "ngx/variables.hpp"
#include "ngx/weftd_request.hpp"
#include "ngx/worker.hpp"

namespace weft {

namespace {

class WaitingCall final : public WeftdRequest, public ApiCall::Owner {
public:
    static void start(ngx_http_request_t* request, Gateway& gateway, const ApiRequest& asked, const Identity* key) {
        wait<WaitingCall>(request, [&](WaitingCall& waiting) {
            waiting.call_ = std::make_unique<ApiCall>(gateway, waiting);
            waiting.call_->run(asked, key);
        });
    }
    ~WaitingCall() override { stop_waiting(); }

private:
    void on_api_answer(const ApiAnswer& answer) override { finish(answer); }
    void cancel(Gateway& gateway) noexcept override {
        if (!call_->answered()) gateway.cancel(*call_);
    }

    std::unique_ptr<ApiCall> call_;
};

void run_command(ngx_http_request_t* request) {
    Worker& worker = *Worker::current();
    worker.wake();
    std::string body;
    if (!read_body(request, body)) return ngx_http_finalize_request(request, NGX_HTTP_INTERNAL_SERVER_ERROR);
    std::string_view name = view(request->uri);
    name.remove_prefix(name.rfind('/') + 1);
    const auto asked = parse_api_request(name, body, worker.json_depth());
    if (!asked) {
        const ApiFault& fault = asked.error();
        return ngx_http_finalize_request(request, respond_error(request, {fault.code, fault.message, {}}));
    }
    for (const ApiCommand& command : asked->commands) {
        if (!std::holds_alternative<api::Revoke>(command.body)) continue;
        ngx_log_error(NGX_LOG_NOTICE, request->connection->log, 0, "weft: api command %*s", command.name.size(),
                      command.name.data());
    }
    // A request that needs no key has none: it comes from whoever nginx lets through.
    const UpgradedRequest* const known = upgraded_request(request);
    WaitingCall::start(request, worker.gateway(), *asked, known == nullptr ? nullptr : known->identity.get());
}

}  // namespace

ngx_int_t handle_api(ngx_http_request_t* request) noexcept {
    if (Worker::current() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
    if (const auto refused = refuse_caller(request, false)) return *refused;
    return read_post<run_command>(request);
}

}  // namespace weft

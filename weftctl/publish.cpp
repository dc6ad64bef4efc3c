// weftctl publish: as a back end, without nginx.
#include <iostream>
#include <iterator>

#include "channel_name.hpp"
#include "codec/json_scanner.hpp"
#include "codec/text_rules.hpp"
#include "json_line.hpp"
#include "query.hpp"
#include "websocket/utf8.hpp"

namespace weft {

namespace {

struct Options {
    Sidecar::Options sidecar;
    std::string channel, data, message_id;
    bool text = false, json = false;
};

void run(const Options& options) {
    check_channel(options.channel);
    if (!options.message_id.empty()) {
        if (const std::string wrong = check_text(text::kMessageId, options.message_id); !wrong.empty()) {
            throw UsageError("--id " + wrong);
        }
    }
    std::string data = options.data;
    if (data == "-") data.assign(std::istreambuf_iterator<char>(std::cin), {});
    if (options.text) {
        if (!websocket::is_utf8(data)) throw UsageError("the text is not UTF-8");
        std::string json;
        append_json_string(json, data);
        data = std::move(json);
    } else if (const std::string wrong = check_json(data); !wrong.empty()) {
        throw UsageError("the data is " + wrong + "; expected a JSON value, or --text");
    }
    v1::Frame frame;
    v1::Publish& publish = *frame.mutable_publish();
    publish.set_request(1);
    publish.set_channel(options.channel);
    publish.set_data(data);
    publish.set_message_id(options.message_id);
    const v1::Frame answer = Sidecar(options.sidecar, options.channel).ask(frame);
    const v1::Published& published = answer.published();
    if (options.json) {
        std::cout << JsonLine().text("message_id", published.message_id()).text("position", published.position()).str();
    } else {
        std::cout << published.message_id() << '\t' << published.position();
    }
    std::cout << '\n';
}

}  // namespace

void add_publish_command(CLI::App& app) {
    add_query<Options>(
        app, "publish", "Publish to a channel",
        [](CLI::App& command, Options& options) {
            add_channel(command, options.channel);
            command.add_option("data", options.data, "A JSON value; - reads it from standard input")->required();
            command.add_flag("--text", options.text, "The data is a text, not JSON");
            command.add_option("--id", options.message_id, "message_id: who repeats it means the same publication");
        },
        run);
}

}  // namespace weft

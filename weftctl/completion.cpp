// weftctl completion: what a shell needs to complete weftctl's commands and options, made of these themselves.
#include <iostream>
#include <memory>

#include "command.hpp"

namespace weft {

namespace {

/// Commands and long options that may follow `app`, separated by spaces.
std::string words(const CLI::App& app) {
    std::string words;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        words += command->get_name() + ' ';
    }
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) words += "--" + name + ' ';
    }
    if (!words.empty()) words.pop_back();
    return words;
}

/// A line of a case for each command below `app`: its path, and what may follow.
void print_cases(const CLI::App& app, const std::string& path) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        const std::string at = path.empty() ? command->get_name() : path + ' ' + command->get_name();
        print_cases(*command, at);
        std::cout << "    '" << at << "'*) words='" << words(*command) << "' ;;\n";
    }
}

void print(const CLI::App& app, const std::string& shell) {
    if (shell == "zsh") std::cout << "autoload -U +X bashcompinit && bashcompinit\n";
    std::cout << "_weftctl() {\n"
                 "  local current=${COMP_WORDS[COMP_CWORD]} path='' word words\n"
                 "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do [[ $word == -* ]] || path+=\"${path:+ "
                 "}$word\"; done\n"
                 "  case $path in\n";
    print_cases(app, {});
    std::cout << "    *) words='" << words(app)
              << "' ;;\n"
                 "  esac\n"
                 "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                 "}\n"
                 "complete -o default -F _weftctl weftctl\n";
}

}  // namespace

void add_completion_command(CLI::App& app) {
    auto shell = std::make_shared<std::string>();
    CLI::App& command = *app.add_subcommand("completion", "Print a script that completes weftctl's words in a shell");
    command.add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
    command.callback([&app, shell] { print(app, *shell); });
}

}  // namespace weft

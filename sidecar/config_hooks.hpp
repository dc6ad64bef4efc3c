// The parts of weftd.yaml about back ends: hooks and services.
#pragma once

#include <array>
#include <string>

#include "config_reader.hpp"

namespace weft {

void read_hooks(ConfigReader& reader, const YAML::Node& map, const std::string& parent,
                std::array<Config::Webhook, kHooks>& hooks);
void read_services(ConfigReader& reader, const YAML::Node& map, const std::string& parent, Config::Services& services);

/// The key of a socket's file, "mode".
ConfigReader::Read file_mode(ConfigReader& reader, mode_t& out);
/// The key of a socket's file, "group".
ConfigReader::Read file_group(ConfigReader& reader, std::string& out);

}  // namespace weft

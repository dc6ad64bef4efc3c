// Nodes and connections as JSON: what HTTP, clients and weftctl are told of them alike.
#pragma once

#include <string>

#include "weft/v1/link.pb.h"

namespace weft {

/// Appends an object; of a node that isn't up, its name alone.
void append_node(std::string& json, const v1::NodeInfo& node);

/// Appends an object, without members for what isn't known or there is none of.
void append_client(std::string& json, const v1::ClientInfo& client);

}  // namespace weft

// Nodes and connections as JSON: what HTTP, clients and weftctl are told of them alike.
#pragma once

#include "codec/json_object.hpp"
#include "weft/v1/link.pb.h"

namespace weft {

/// Writes the members of a node's object; of one that isn't up, its name alone.
void write_node(ObjectWriter& out, const v1::NodeInfo& node);

/// Writes the members of a connection's object, but for what isn't known or there is none of.
void write_client(ObjectWriter& out, const v1::ClientInfo& client);

}  // namespace weft

#pragma once

#include <filesystem>
#include <string_view>

namespace samepage {

/// How many nodes have memory. One where the kernel does not tell (no NUMA).
unsigned memory_nodes(const std::filesystem::path& file = "/sys/devices/system/node/has_memory");

/// "0-1,4" are three. Takes any bytes and never throws.
unsigned parse_node_list(std::string_view text);

}  // namespace samepage

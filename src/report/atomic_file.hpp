#pragma once

#include <filesystem>
#include <string_view>

namespace samepage {

/// Writes a file whole or not at all: nothing appears under its name, and nothing is left beside it, if that
/// fails. Throws UsageError.
void write_atomically(const std::filesystem::path& file, std::string_view text);

}  // namespace samepage

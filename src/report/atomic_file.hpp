#pragma once

#include <filesystem>
#include <string_view>

namespace samepage {

/// Writes a file whole or not at all: nothing appears under its name, and nothing is left beside it, if that
/// fails. What is there and no file (/dev/stdout, a pipe) is written to. Throws UsageError.
void write_atomically(const std::filesystem::path& file, std::string_view text);

/// Throws UsageError if write_atomically() would fail by now, so that it is known before the work is done.
void expect_writable(const std::filesystem::path& file);

}  // namespace samepage

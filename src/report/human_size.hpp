#pragma once

#include <cstdint>
#include <string>

namespace samepage {

/// "612 MB", "1.98 GB": decimal units, three digits. `kb` are the kernel's kB of 1024 bytes.
std::string human_size(std::uint64_t kb);
/// With a minus where that leaves something to see.
std::string signed_human_size(std::int64_t kb);

}  // namespace samepage

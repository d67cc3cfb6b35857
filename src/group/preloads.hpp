#pragma once

#include <filesystem>
#include <optional>

namespace samepage {

/// The libraries that are preloaded, as they stand beside the running samepage; absent if a file is missing.
struct Preloads {
  std::optional<std::filesystem::path> heap, group;
};
Preloads find_preloads();

}  // namespace samepage

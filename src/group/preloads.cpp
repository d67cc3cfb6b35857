#include "group/preloads.hpp"

#include <array>

namespace samepage {

Preloads find_preloads() {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const auto find = [&](const char* name) -> std::optional<std::filesystem::path> {
    for (const char* libraries : std::array{"lib", SAMEPAGE_LIBDIR})
      if (const auto file = folder / libraries / name; std::filesystem::exists(file)) return file;
    return std::nullopt;
  };
  return {find("libsamepage-heap.so"), find("libsamepage-group.so")};
}

}  // namespace samepage

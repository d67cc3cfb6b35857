#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "linux/unique_fd.hpp"

namespace samepage {

/// What the kernel says about physical pages (/proc/kpageflags, kpagecount); root only.
class KernelPages {
 public:
  explicit KernelPages(const std::filesystem::path& proc = "/proc");

  /// Whether the page was merged by KSM; absent where the kernel does not tell.
  std::optional<bool> merged(std::uint64_t frame) const;

 private:
  UniqueFd flags_;
};

}  // namespace samepage

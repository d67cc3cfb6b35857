#pragma once

#include <filesystem>

#include "linux/unique_fd.hpp"

namespace samepage {

/// Held by the one watchdog of this host, for as long as this object lives; the kernel gives it up for who is
/// killed. The file holds the holder's PID.
class OnlyOne {
 public:
  /// Throws UsageError, with the other's PID, when there is one already.
  explicit OnlyOne(const std::filesystem::path& file);

 private:
  UniqueFd lock_;
};

}  // namespace samepage

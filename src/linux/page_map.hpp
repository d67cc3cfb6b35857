#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>

#include "linux/smaps_text.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

inline constexpr std::size_t kPageSize = 4096;

/// One page of a process that is in memory, as /proc/PID/pagemap tells
/// (Documentation/admin-guide/mm/pagemap.rst).
struct ResidentPage {
  std::uint64_t address = 0;
  std::uint64_t frame = 0;  ///< physical page number; 0 without CAP_SYS_ADMIN
  bool file = false;        ///< of a file or of shared memory; else anonymous
  bool alone = false;       ///< mapped here and nowhere else
  bool huge = false;        ///< mapped as part of a huge page
};

/// The page tables of a process. The descriptor stays with the memory that it was opened for: once the
/// process has exec'd or ended, nothing more is read.
class PageMap {
 public:
  /// `denied` then tells whether it is there but not ours to see.
  static PageMap open(pid_t pid, bool& denied, const std::filesystem::path& proc = "/proc");

  explicit operator bool() const { return static_cast<bool>(fd_); }

  /// Calls `visit` for each resident page of the mapping that RSS counts, by address; the kernel's zero page
  /// is not among them, but is counted into `zero_pages`. Holes cost nothing since Linux 6.7 (PAGEMAP_SCAN);
  /// before, the walk ends when as much was found as smaps promised, and gives up on a mapping after 2^28
  /// absent pages. False if not everything could be looked at.
  bool resident(const Mapping& mapping, const std::function<void(const ResidentPage&)>& visit,
                std::uint64_t& zero_pages) const;

  /// How many of so many pages from `address` on are in memory or swapped out, up to the first that is not;
  /// nothing if that cannot be told.
  std::optional<std::size_t> present(std::uint64_t address, std::size_t pages) const;

 private:
  bool read_entries(std::uint64_t address, std::span<std::uint64_t> entries) const;
  bool walk(const Mapping& mapping, const std::function<void(const ResidentPage&)>& visit) const;

  UniqueFd fd_;
};

}  // namespace samepage

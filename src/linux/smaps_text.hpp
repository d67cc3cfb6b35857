#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace samepage {

/// One mapping of a process, as /proc/PID/smaps tells (proc_pid_smaps(5)). Sizes in kB of 1024 bytes; what
/// the running kernel does not tell is 0, but for `ksm_kb`, which is absent before Linux 6.7.
struct Mapping {
  std::uint64_t start = 0, end = 0;  ///< addresses
  std::string name;                  ///< path, "[heap]", or empty; ends in " (deleted)" if the file has gone
  std::uint64_t offset = 0;          ///< of `start` in the file, bytes
  std::uint64_t device = 0, inode = 0;
  bool readable = false;
  bool shared = false;  ///< mapped with MAP_SHARED
  std::uint64_t rss_kb = 0, pss_kb = 0, anonymous_kb = 0, anon_huge_kb = 0, swap_kb = 0, swap_pss_kb = 0,
                private_dirty_kb = 0, hugetlb_kb = 0;
  std::optional<std::uint64_t> ksm_kb;
  bool mergeable = false;      ///< registered with KSM ("mg")
  bool locked = false;         ///< mlocked ("lo")
  bool hugetlb = false;        ///< of the hugetlb file system ("ht"), which RSS does not count
  bool device_memory = false;  ///< no pages of memory behind it ("io", "pf")
};

/// Takes any bytes and never throws; lines that are none of smaps' are left out.
std::vector<Mapping> parse_smaps(std::string_view text);

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ksm/lease.hpp"
#include "linux/ksm_sysfs.hpp"

namespace samepage {

/// What a page costs that ksmd has looked at: struct ksm_rmap_item of the kernel's mm/ksm.c, bytes.
inline constexpr std::uint64_t kRmapItemBytes = 64;

/// A process that KSM may merge. Bytes; what this kernel does not tell is absent.
struct KsmProcess {
  pid_t pid = 0;
  std::string name;  ///< as in ps
  std::optional<std::uint64_t> merged, zero, anonymous;
  std::uint64_t looked_at = 0;  ///< address space of pages that ksmd knows
  std::optional<bool> whole;    ///< registered as a whole, by prctl
  std::int64_t profit = 0;      ///< merged + zero - kRmapItemBytes × pages looked at
};

/// KSM on this host at one moment: settings, counters, and what they mean. Bytes.
struct KsmOverview {
  bool present = false;                                       ///< else this kernel has no KSM
  std::vector<std::pair<std::string, std::string>> settings;  ///< those that this kernel has
  KsmCounters counters;
  std::optional<std::uint64_t> saved;      ///< (pages_sharing + ksm_zero_pages) × page size
  std::optional<std::uint64_t> overhead;   ///< kRmapItemBytes × pages looked at
  std::optional<std::int64_t> profit;      ///< saved - overhead
  std::optional<std::uint64_t> looked_at;  ///< pages that ksmd knows: shared, sharing, unshared, volatile
  std::optional<std::uint64_t> scan_rate;  ///< most that ksmd looks at in a second, by its settings
  std::optional<double> pass_seconds;      ///< looked_at / scan_rate: no pass takes less
  std::optional<double> coverage;          ///< part of the processes' anonymous memory that ksmd knows
  std::optional<double> merged_part;       ///< part of what ksmd knows that is merged
  std::vector<KsmProcess> processes;       ///< by profit, best first; those that are not ours to see miss
  std::size_t hidden_processes = 0;        ///< how many these are
  std::optional<std::string> stuck_in;     ///< while KSM is on: where ksmd stands still (Ksmd::stands_still)
  std::vector<pid_t> holders;              ///< who has ksmd work fast just now (lease.hpp)
};

/// Source of the formulas: Documentation/admin-guide/mm/ksm.rst, "Monitoring KSM profit".
KsmOverview ksm_overview(const KsmPlaces& places = {});

}  // namespace samepage

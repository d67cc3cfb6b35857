#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace samepage {

// Parsers of what the kernel writes below /proc/PID. They take any bytes, never throw, and leave absent what
// the text does not say: an older kernel's file lacks the newer fields.

/// /proc/PID/stat (proc_pid_stat(5)).
struct ProcStat {
  pid_t pid = 0;
  std::string comm;  ///< may hold blanks and parentheses
  char state = '?';
  pid_t ppid = 0;
  std::uint64_t start_time = 0;  ///< in clock ticks since boot; with the PID it names one process for good
  std::uint64_t rss_pages = 0;
  /// Where the program's code and stack start; 0 without the right to look. Equal in processes forked from
  /// one another, different after an exec (the stack's place is random).
  std::uint64_t start_code = 0;
  std::uint64_t start_stack = 0;
};
std::optional<ProcStat> parse_proc_stat(std::string_view text);

/// /proc/PID/status, in kB; a kernel thread and a zombie have no memory fields.
struct ProcStatus {
  std::optional<std::uint64_t> vm_hwm, vm_rss, rss_anon, rss_shmem, vm_pte, vm_swap;
};
ProcStatus parse_proc_status(std::string_view text);

/// /proc/PID/smaps_rollup, in kB. The Pss_* parts are of Linux 5.3, KSM of 6.8.
struct SmapsRollup {
  std::uint64_t rss = 0, pss = 0, private_clean = 0, private_dirty = 0, shared_clean = 0, shared_dirty = 0;
  std::uint64_t anonymous = 0;
  std::optional<std::uint64_t> pss_anon, pss_file, pss_shmem, swap_pss, ksm;
};
/// Nothing if Rss or Pss is missing.
std::optional<SmapsRollup> parse_smaps_rollup(std::string_view text);

/// /proc/PID/ksm_stat (6.1 has ksm_rmap_items alone).
struct KsmStat {
  std::optional<std::uint64_t> rmap_items, merging_pages;
};
KsmStat parse_ksm_stat(std::string_view text);

/// /proc/PID/cmdline or environ: strings that each end with a NUL.
std::vector<std::string> parse_strings(std::string_view text);

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace samepage {

// Parsers of what the kernel writes below /proc. They take any bytes, never throw, and leave absent what
// the text does not say: an older kernel's file lacks the newer fields.

/// /proc/PID/stat (proc_pid_stat(5)).
struct ProcStat {
  pid_t pid = 0;
  std::string comm;  ///< may hold blanks and parentheses
  char state = '?';
  pid_t ppid = 0;
  bool kernel_thread = false;
  std::uint64_t start_time = 0;  ///< in clock ticks since boot; with the PID it names one process for good
  std::uint64_t minor_faults = 0;
  std::uint64_t memory_size = 0;  ///< of its address space, bytes; 0: a kernel thread, or it has ended
  std::uint64_t rss_pages = 0;
  /// Where the program's code and stack start; 0 without the right to look. Equal in processes forked from
  /// one another, different after an exec (the stack's place is random).
  std::uint64_t start_code = 0;
  std::uint64_t start_stack = 0;
};
std::optional<ProcStat> parse_proc_stat(std::string_view text);

/// /proc/PID/status, in kB; a kernel thread and a zombie have no memory fields.
struct ProcStatus {
  std::optional<std::uint64_t> vm_hwm, vm_rss, rss_anon, rss_shmem, vm_pte, vm_swap, vm_pin;
  std::optional<std::uint64_t> uid;  ///< real user
  /// The process that a thread belongs to; who traces it (0: nobody); the mode of seccomp(2) (0: none).
  std::optional<std::uint64_t> tgid, tracer_pid, seccomp;
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
  std::optional<std::uint64_t> rmap_items, merging_pages, zero_pages;
  std::optional<std::int64_t> process_profit;  ///< bytes
  std::optional<bool> merge_any;               ///< the process is registered as a whole…
  std::optional<bool> mergeable;               ///< …or has memory that is (Linux 6.18 tells, 6.1 does not)
};
KsmStat parse_ksm_stat(std::string_view text);

/// /proc/meminfo, in kB.
struct MemInfo {
  std::optional<std::uint64_t> total, available, shmem, swap_total, swap_free;
  std::optional<std::uint64_t> anonymous;  ///< AnonPages: a merged page counts once
};
MemInfo parse_meminfo(std::string_view text);

/// A file of /proc/pressure (Documentation/accounting/psi.rst): per cent of the last 10 seconds in which some
/// task, or all of them, waited for the resource.
struct Pressure {
  std::optional<double> some, full;
};
Pressure parse_pressure(std::string_view text);

/// The paths of /proc/PID/cgroup, one per hierarchy ("0::/user.slice" or "4:memory:/job").
std::vector<std::string> parse_cgroups(std::string_view text);

/// /proc/PID/cmdline or environ: strings that each end with a NUL.
std::vector<std::string> parse_strings(std::string_view text);

}  // namespace samepage

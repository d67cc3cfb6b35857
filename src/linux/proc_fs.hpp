#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linux/proc_text.hpp"
#include "linux/smaps_text.hpp"

namespace samepage {

/// What was read of a process, or why nothing was.
template <typename T>
struct ProcRead {
  std::optional<T> value;
  bool denied =
      false;  ///< EACCES, EPERM: it is there, but not ours to see. Else without value: gone, or never there

  explicit operator bool() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

/// The kernel's view of processes, read below `root`, which tests fill with captured text.
/// A process may end at any moment: every reader then answers without value.
class ProcFs {
 public:
  explicit ProcFs(std::filesystem::path root = "/proc") : root_(std::move(root)) {}

  std::vector<pid_t> pids() const;
  ProcRead<ProcStat> stat(pid_t pid) const;
  ProcRead<ProcStatus> status(pid_t pid) const;
  ProcRead<SmapsRollup> smaps_rollup(pid_t pid) const;
  /// Of a kernel before 6.1 the file is missing, before 6.8 (6.1: `ksm_merging_pages` beside it) incomplete.
  ProcRead<KsmStat> ksm_stat(pid_t pid) const;
  ProcRead<std::vector<Mapping>> smaps(pid_t pid) const;
  /// The same without any size, which the kernel does not have to look for.
  ProcRead<std::vector<Mapping>> maps(pid_t pid) const;
  ProcRead<std::vector<std::string>> cgroups(pid_t pid) const;
  /// The program's file, of which another user's is hidden; ends in " (deleted)" if it has gone.
  ProcRead<std::string> executable(pid_t pid) const;
  ProcRead<std::vector<std::string>> cmdline(pid_t pid) const;
  ProcRead<std::vector<std::string>> environ(pid_t pid) const;
  /// Names of the threads (task/).
  ProcRead<std::vector<pid_t>> threads(pid_t pid) const;
  /// What the descriptors point to (fd/), such as "anon_inode:[timerfd]".
  ProcRead<std::map<int, std::string>> open_files(pid_t pid) const;
  /// Whether the process has POSIX timers; absent where the kernel does not tell (CONFIG_CHECKPOINT_RESTORE).
  ProcRead<bool> has_timers(pid_t pid) const;

  MemInfo meminfo() const;
  /// `resource` is "memory", "cpu" or "io". Empty where the kernel does not tell (CONFIG_PSI, Linux 4.20).
  Pressure pressure(const char* resource) const;

 private:
  ProcRead<std::string> text(const std::string& file) const;
  ProcRead<std::string> text(pid_t pid, const char* file) const;

  std::filesystem::path root_;
};

}  // namespace samepage

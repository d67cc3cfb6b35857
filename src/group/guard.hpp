#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "linux/proc_fs.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

/// A process, for good: PIDs are used again.
struct ProcessId {
  std::int64_t pid;
  std::uint64_t start_time;
};

/// A small process beside ours that outlives us if we are killed, and then kills what we had told it of, with
/// all descendants. Without it the kernel would end our children alone, not what these have started.
class Guard {
 public:
  /// Forks; to be called while the calling process has one thread. `proc` is borrowed. Throws
  /// std::system_error.
  explicit Guard(const ProcFs& proc);
  Guard(const Guard&) = delete;
  /// Ends it; nobody is killed.
  ~Guard();

  pid_t pid() const { return pid_; }
  /// Replaces what it was told before.
  void watch(const std::vector<ProcessId>& processes);

 private:
  UniqueFd pipe_;
  pid_t pid_ = -1;
};

}  // namespace samepage

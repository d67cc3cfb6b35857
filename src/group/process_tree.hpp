#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <vector>

#include "group/guard.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {

/// Which processes descend from which copy. A process that was seen once stays with its copy after its parent
/// has ended and it was handed to the launcher; one that was never seen before is known by SAMEPAGE_RANK in
/// its environment.
class ProcessTree {
 public:
  struct Member {
    unsigned copy;
    ProcStat stat;
  };

  ProcessTree(const ProcFs& proc, pid_t launcher) : proc_(proc), launcher_(launcher) {}

  /// A child of the launcher that belongs to no copy.
  void leave_out(pid_t pid) { left_out_ = pid; }
  void add_copy(unsigned copy, pid_t pid);
  /// Everyone alive now, zombies left out.
  std::vector<Member> members();
  /// Everyone found by members() who lived then.
  std::vector<ProcessId> known() const;

 private:
  struct Known {
    unsigned copy;
    std::uint64_t start_time;
  };

  std::optional<unsigned> copy_of(const ProcStat& stat, const std::map<pid_t, ProcStat>& alive);

  const ProcFs& proc_;
  pid_t launcher_;
  pid_t left_out_ = 0;
  std::map<pid_t, Known> known_;
};

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <vector>

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

  void add_copy(unsigned copy, pid_t pid);
  /// Everyone alive now, zombies left out.
  std::vector<Member> members();

 private:
  struct Known {
    unsigned copy;
    std::uint64_t start_time;
  };

  std::optional<unsigned> copy_of(const ProcStat& stat, const std::map<pid_t, ProcStat>& alive);

  const ProcFs& proc_;
  pid_t launcher_;
  std::map<pid_t, Known> known_;
};

}  // namespace samepage

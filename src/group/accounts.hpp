#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "group/process_tree.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {

/// One process of a group. What was never measured is absent.
struct ProcessRow {
  unsigned copy = 0;
  pid_t pid = 0;
  pid_t ppid = 0;
  std::string name;     ///< as in ps
  std::string command;  ///< its command line
  std::optional<int> exit_code, signal;
  std::optional<std::uint64_t> peak_rss_kb, private_kb, library_data_kb, shared_kb, shared_data_kb, pss_kb,
      ksm_kb;
  bool own_layout = false;  ///< it left the copies' common layout by an exec
  bool counted = false;     ///< its figures are of the moment that the totals are of
};

/// The group at one moment, in kB.
struct GroupTotals {
  double time = 0;  ///< seconds since 1970
  unsigned copies = 0;
  std::size_t processes = 0;
  std::uint64_t private_kb = 0, shared_kb = 0, shared_data_kb = 0;
  std::uint64_t together_kb = 0;  ///< what the machine holds: Σ PSS + Σ swapped PSS + page tables + KSM's
                                  ///< items, and of the store what nobody maps
  std::uint64_t alone_kb = 0;     ///< an estimate (ProcessShare) of what the processes take without sharing
  bool settled =
      false;  ///< nobody came or went, or grew by 1 % in the last second, nor what is anonymous of it
};

/// What every look finds cheaply, for those who set KSM's pace.
struct GroupGlance {
  double seconds = 0;  ///< of the monotonic clock
  std::uint64_t anonymous_kb = 0;
  std::optional<std::uint64_t> merged_kb;  ///< absent where the kernel does not tell
};

/// Picks the sample that a group is judged by: of those with the most copies alive and within 20 % of the
/// largest Σ alone, the last.
class CountedSample {
 public:
  /// True if this sample is now the one.
  bool offer(const GroupTotals& totals);
  const std::optional<GroupTotals>& totals() const { return best_; }

 private:
  std::optional<GroupTotals> best_;
  std::uint64_t largest_ = 0;
};

/// The memory of a group of processes over time, at a cost of at most 2 % of one processor.
class Accounts {
 public:
  /// Both are borrowed.
  Accounts(const ProcFs& proc, ProcessTree& tree) : proc_(proc), tree_(tree) {}

  /// `name` as in ps.
  void add_copy(unsigned copy, pid_t pid, const std::string& name, const std::vector<std::string>& command);
  /// The process that the copies are forked from, now that it stands before main: its layout is theirs, and
  /// its share of memory is held too until it has gone.
  void set_template(pid_t pid);
  void template_gone() { template_ = 0; }
  /// How much the store of the group's own holds, in kB: what no process has in its page tables is held too.
  void set_store(std::function<std::uint64_t()> size_kb) { store_kb_ = std::move(size_kb); }
  /// Looks at every process now, into its page tables only when that is due.
  GroupGlance look();
  /// wait4(2) reported the end of a process of the group or of another child.
  void ended(pid_t pid, int status, const rusage& usage);

  const std::vector<GroupTotals>& samples() const { return samples_; }
  /// The sample to judge by; `settled` in it says of which kind. Nothing if the group was too short-lived.
  std::optional<GroupTotals> counted() const;
  /// Every process ever seen, by copy and PID, with the figures of the counted sample or else their last.
  std::vector<ProcessRow> rows() const;

 private:
  using Key = std::pair<pid_t, std::uint64_t>;  // with the start time
  struct Layout {
    std::uint64_t code, stack;
    bool operator==(const Layout&) const = default;
  };

  bool settled_now(double now, std::uint64_t rss, std::uint64_t anonymous, std::size_t processes);
  void measure(const std::vector<ProcessTree::Member>& members, bool settled);

  const ProcFs& proc_;
  ProcessTree& tree_;
  std::map<unsigned, pid_t> copies_;
  pid_t template_ = 0;
  std::function<std::uint64_t()> store_kb_;
  std::optional<Layout> layout_;
  std::map<Key, ProcessRow> rows_;
  std::map<pid_t, Key> latest_;  // of the PIDs now in use
  struct Point {
    double time;
    std::uint64_t rss, anonymous;
    std::size_t processes;
  };
  std::deque<Point> last_second_;
  double next_measurement_ = 0;
  std::vector<GroupTotals> samples_;
  CountedSample settled_, growing_;
  std::map<Key, ProcessRow> settled_rows_, growing_rows_;
};

}  // namespace samepage

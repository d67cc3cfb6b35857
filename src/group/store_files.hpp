#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "group/guard.hpp"
#include "linux/proc_fs.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

/// The memory files of a group's store, empty at first, open as long as this object lives or somebody has use
/// for them; see store/holder.h.
class StoreFiles {
 public:
  /// Nothing if the system gives no memory files or descriptors; `why_not` then says so.
  static std::optional<StoreFiles> make(std::string& why_not);

  /// Another launcher's, the control area first. Nothing if there is no room for their descriptors.
  static std::optional<StoreFiles> adopt(const std::vector<UniqueFd>& files);

  /// The value of SAMEPAGE_STORE_AT for the processes that shall use it.
  std::string address() const;
  /// Borrowed, the control area first.
  std::vector<int> descriptors() const;

  /// Gives up the published files that processes have stopped mapping, or whose publisher has ended, once
  /// none of `processes` maps them: what was in there has been rewritten in all of them, and would be held
  /// beside. To be called often when no more copies are to come; it looks when somebody has stopped, and
  /// every ten seconds after, at a cost of 2 % of one processor at most. Half of the files at most are given
  /// up: each has one address for ever.
  void give_up_unmapped(const ProcFs& proc, const std::vector<ProcessId>& processes);

  struct Size {
    std::uint64_t all_kb = 0, charged_here_kb = 0;
  };
  /// What the files hold, and how much of it these processes published, whose cgroup is charged for it.
  Size size(const std::set<int>& processes) const;

 private:
  std::vector<UniqueFd> files_;  // the control area first, under consecutive numbers
  std::uint64_t left_ = 0;       // of all files, when they were looked at last
  std::chrono::steady_clock::time_point look_again_, not_before_;
};

}  // namespace samepage

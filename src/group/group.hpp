#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "group/accounts.hpp"
#include "group/store_join.hpp"

namespace samepage {

/// How copies come to have one layout.
enum class Layout {
  fork,   ///< all are forked from one process that stands before main
  fixed,  ///< address randomisation is off for the group
  none,
};

struct GroupOptions {
  std::vector<std::vector<std::string>> commands;  ///< one per copy
  std::size_t at_once = 0;                         ///< copies that run at the same time
  Layout layout = Layout::fork;
  bool seeds = true;  ///< one hash seed for the group
  bool heap = true;
  bool store = true;                   ///< the heap's; see docs/store.md
  std::optional<StoreJoin::Who> join;  ///< share the store with launchers that come to the same name
  bool across_cgroups = false;  ///< processes that are in another cgroup than the launcher share as well
  bool ksm = false;             ///< every copy opts in to the kernel's merging
  std::optional<std::filesystem::path> output;                               ///< folder for a file per copy
  std::function<void(const std::string&)> note = [](const std::string&) {};  ///< a line for the user
  std::function<void()> writing = [] {};  ///< a copy's output comes next on our own streams
  std::function<void(const GroupGlance&, const Accounts&)> looked = [](const GroupGlance&, const Accounts&) {
  };
};

/// How a copy ended; in the order in which they did.
struct CopyEnd {
  unsigned copy;
  int status;       ///< as a shell counts: 128 + N for signal N, 126 and 127 if it could not be started
  std::string how;  ///< "exit 3", "killed by SIGKILL", "cannot be started: …"; empty: success
};

/// A store that was joined, as it was when the group ended.
struct JoinedStore {
  std::string name;
  StoreFiles::Size size;
};

struct GroupResult {
  std::vector<CopyEnd> ends;
  bool output_lost = false;  ///< some output could not be written
  std::optional<GroupTotals> totals;
  std::vector<GroupTotals> samples;
  std::vector<ProcessRow> rows;
  std::optional<JoinedStore> joined;
  std::size_t left_running = 0;  ///< descendants that live on
};

/// Runs a group to its end: one poll loop starts the copies, hands on their output and the signals that come,
/// and accounts for their memory. Throws UsageError if the program cannot be started at all.
GroupResult run_group(const GroupOptions& options);

/// "SIGKILL" of 9.
std::string signal_name(int signal);

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "group/live_accounts.hpp"

namespace samepage {

/// Processes as a user asks for them: PID, NAME, --tree, --user, --cgroup, --all.
struct Selection {
  std::vector<std::string> names;  ///< or PIDs
  std::vector<pid_t> trees;
  std::vector<std::string> users, cgroups;
  bool all = false;

  bool empty() const { return names.empty() && trees.empty() && users.empty() && cgroups.empty() && !all; }
  /// Those that run now. Throws UsageError where nothing fits a part of it.
  std::vector<pid_t> pids() const;
  /// For those that come later too; descendants of a tree are found through parents that live. Throws
  /// UsageError for a user that does not exist.
  LiveAccounts::Meant live() const;
};

/// `selection` is borrowed for as long as `app` lives.
void add_selection(CLI::App& app, Selection& selection);

}  // namespace samepage

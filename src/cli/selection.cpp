#include "cli/selection.hpp"

#include <fmt/format.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "census/whom.hpp"
#include "linux/usage_error.hpp"

namespace samepage {
namespace {

template <typename Number>
std::optional<Number> whole_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

uid_t user_named(const std::string& name) {
  if (const passwd* user = getpwnam(name.c_str())) return user->pw_uid;
  if (const auto number = whole_number<uid_t>(name)) return *number;
  throw UsageError(fmt::format("--user {}: no such user", name));
}

bool descends_from(pid_t root, pid_t pid, const LiveAccounts::Table& table) {
  // A table read while processes come and go may hold a ring.
  for (std::size_t steps = 0; steps <= table.size(); ++steps) {
    if (pid == root) return true;
    const auto process = table.find(pid);
    if (process == table.end()) return false;
    pid = process->second.ppid;
  }
  return false;
}

}  // namespace

std::vector<pid_t> Selection::pids() const {
  const ProcFs proc;
  std::set<pid_t> pids;
  const auto take = [&](const std::vector<pid_t>& found, const std::string& asked) {
    if (found.empty()) throw UsageError(fmt::format("{}: no process", asked));
    pids.insert(found.begin(), found.end());
  };
  for (const std::string& name : names) {
    if (const auto pid = whole_number<pid_t>(name)) {
      if (*pid <= 0 || !proc.stat(*pid)) throw UsageError(fmt::format("no process has the PID {}", name));
      pids.insert(*pid);
    } else {
      const auto found = processes_named(proc, name);
      if (found.empty())
        throw UsageError(fmt::format("no process is called {}; ps -e lists PIDs and names", name));
      pids.insert(found.begin(), found.end());
    }
  }
  for (const pid_t root : trees) {
    if (!proc.stat(root)) throw UsageError(fmt::format("--tree {}: no process has this PID", root));
    take(process_tree(proc, root), fmt::format("--tree {}", root));
  }
  for (const std::string& user : users) take(processes_of_user(proc, user_named(user)), "--user " + user);
  for (const std::string& path : cgroups) take(processes_in_cgroup(proc, path), "--cgroup " + path);
  if (all) take(all_processes(proc), "--all");
  return {pids.begin(), pids.end()};
}

LiveAccounts::Meant Selection::live() const {
  std::set<uid_t> uids;
  for (const std::string& user : users) uids.insert(user_named(user));
  std::set<pid_t> pids;
  std::vector<std::string> called;
  for (const std::string& name : names)
    if (const auto pid = whole_number<pid_t>(name))
      pids.insert(*pid);
    else
      called.push_back(name);
  return [selection = *this, uids, pids, called](const LiveProcess& process,
                                                 const LiveAccounts::Table& table) {
    const auto some = [](const auto& wanted, const auto& fits) {
      return std::any_of(wanted.begin(), wanted.end(), fits);
    };
    return selection.all || pids.contains(process.pid) || uids.contains(process.uid) ||
           some(called,
                [&](const std::string& name) { return is_called(name, process.name, process.words); }) ||
           some(selection.trees, [&](pid_t root) { return descends_from(root, process.pid, table); }) ||
           some(selection.cgroups, [&](const std::string& path) { return is_below(path, process.cgroups); });
  };
}

void add_selection(CLI::App& app, Selection& selection) {
  app.add_option("process", selection.names, "PIDs, or names as in ps")->type_name("PID|NAME");
  app.add_option("--tree", selection.trees, "a process and all that it started")->type_name("PID");
  app.add_option("--user", selection.users, "all processes of a user")->type_name("NAME");
  app.add_option("--cgroup", selection.cgroups, "all processes of a control group")->type_name("PATH");
  app.add_flag("--all", selection.all, "all processes");
}

}  // namespace samepage

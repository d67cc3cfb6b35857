#include "census/whom.hpp"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace samepage {
namespace {

/// Those with memory of their own for which `meant` holds, this process left out.
std::vector<pid_t> those(const ProcFs& proc, const std::function<bool(pid_t, const ProcStatus&)>& meant) {
  std::vector<pid_t> found;
  for (const pid_t pid : proc.pids()) {
    if (pid == getpid()) continue;
    const auto status = proc.status(pid);
    if (status && status->vm_rss && meant(pid, *status)) found.push_back(pid);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

/// What an interpreter runs: "gunicorn" of `python3 -m gunicorn` and of `python3 /usr/bin/gunicorn`, which is
/// how the kernel, and samepage run, start a script. Empty if the words begin with none, or it has its
/// program from elsewhere.
std::string script_of(const std::vector<std::string>& words) {
  static const std::set<std::string> interpreters{"python", "pypy", "perl", "ruby", "php",
                                                  "node",   "sh",   "dash", "bash"};
  std::string program = file_name(words.front());
  program.erase(program.find_last_not_of(".0123456789") + 1);
  if (!interpreters.contains(program)) return {};
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "-c" || words[i] == "-e") return {};
    if (words[i] == "-m") return i + 1 < words.size() ? words[i + 1] : std::string{};
    if (!words[i].starts_with('-')) return file_name(words[i]);
  }
  return {};
}

}  // namespace

bool is_called(const std::string& wanted, const std::string& name, const std::vector<std::string>& words) {
  if (name == wanted) return true;
  if (words.empty() || wanted.empty()) return false;
  return file_name(words.front()) == wanted || script_of(words) == wanted;
}

bool is_below(const std::filesystem::path& path, const std::vector<std::string>& cgroups) {
  std::string wanted = path.lexically_normal().string();
  if (const std::string mount = "/sys/fs/cgroup"; wanted.starts_with(mount)) wanted.erase(0, mount.size());
  if (!wanted.starts_with('/')) wanted.insert(0, 1, '/');
  while (wanted.size() > 1 && wanted.ends_with('/')) wanted.pop_back();
  return std::any_of(cgroups.begin(), cgroups.end(), [&](const std::string& group) {
    return wanted == "/" || group == wanted || group.starts_with(wanted + "/");
  });
}

std::vector<pid_t> processes_named(const ProcFs& proc, const std::string& name) {
  return those(proc, [&](pid_t pid, const ProcStatus&) {
    const auto stat = proc.stat(pid);
    const auto words = proc.cmdline(pid);
    return stat && is_called(name, stat->comm, words.value.value_or(std::vector<std::string>{}));
  });
}

std::vector<pid_t> process_tree(const ProcFs& proc, pid_t root) {
  std::multimap<pid_t, pid_t> children;
  for (const pid_t pid : proc.pids())
    if (const auto stat = proc.stat(pid)) children.emplace(stat->ppid, pid);
  std::set<pid_t> tree{root};
  std::vector<pid_t> open{root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    for (auto [child, end] = children.equal_range(parent); child != end; ++child)
      if (tree.insert(child->second).second) open.push_back(child->second);
  }
  return those(proc, [&](pid_t pid, const ProcStatus&) { return tree.contains(pid); });
}

std::vector<pid_t> processes_of_user(const ProcFs& proc, uid_t user) {
  return those(proc, [&](pid_t, const ProcStatus& status) { return status.uid == user; });
}

std::vector<pid_t> processes_in_cgroup(const ProcFs& proc, const std::filesystem::path& path) {
  return those(proc, [&](pid_t pid, const ProcStatus&) {
    const auto groups = proc.cgroups(pid);
    return groups && is_below(path, *groups);
  });
}

std::vector<pid_t> all_processes(const ProcFs& proc) {
  return those(proc, [](pid_t, const ProcStatus&) { return true; });
}

}  // namespace samepage

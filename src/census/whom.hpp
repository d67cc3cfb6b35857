#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "linux/proc_fs.hpp"

namespace samepage {

// Which processes are meant; zombies, kernel threads and this process are not found by anything but their
// PID.

/// Whether a process of this name, as in ps, and this command line is called `wanted`: by that name, or its
/// program's file name, or that of the script that its interpreter runs.
bool is_called(const std::string& wanted, const std::string& name, const std::vector<std::string>& words);
/// Whether one of these groups, as in /proc/PID/cgroup, is `path` or below it.
bool is_below(const std::filesystem::path& path, const std::vector<std::string>& cgroups);

/// Which are called `name`.
std::vector<pid_t> processes_named(const ProcFs& proc, const std::string& name);
/// A process and all that descend from it.
std::vector<pid_t> process_tree(const ProcFs& proc, pid_t root);
std::vector<pid_t> processes_of_user(const ProcFs& proc, uid_t user);
/// Of a control group and those below it; `path` as in /proc/PID/cgroup, or below /sys/fs/cgroup.
std::vector<pid_t> processes_in_cgroup(const ProcFs& proc, const std::filesystem::path& path);
std::vector<pid_t> all_processes(const ProcFs& proc);

}  // namespace samepage

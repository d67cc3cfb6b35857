#include "linux/ksmd.hpp"

#include <sys/resource.h>

#include <cerrno>

#include "linux/proc_fs.hpp"

namespace samepage {

std::optional<Ksmd> Ksmd::find(const std::filesystem::path& proc) {
  constexpr pid_t kKernelThreads = 2;  // kthreadd, the parent of them all
  ProcFs processes(proc);
  for (pid_t pid : processes.pids()) {
    ProcRead<ProcStat> stat = processes.stat(pid);
    if (stat && stat->comm == "ksmd" && stat->ppid == kKernelThreads && stat->rss_pages == 0)
      return Ksmd(pid);
  }
  return std::nullopt;
}

std::optional<int> Ksmd::nice() const {
  errno = 0;
  int value = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid_));
  if (value == -1 && errno != 0) return std::nullopt;
  return value;
}

bool Ksmd::set_nice(int value) const {
  return ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid_), value) == 0;
}

}  // namespace samepage

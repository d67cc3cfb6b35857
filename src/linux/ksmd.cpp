#include "linux/ksmd.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "linux/proc_fs.hpp"

namespace samepage {

std::optional<Ksmd> Ksmd::find(const std::filesystem::path& proc) {
  constexpr pid_t kKernelThreads = 2;  // kthreadd, the parent of them all
  ProcFs processes(proc);
  for (pid_t pid : processes.pids()) {
    ProcRead<ProcStat> stat = processes.stat(pid);
    if (stat && stat->comm == "ksmd" && stat->ppid == kKernelThreads && stat->rss_pages == 0)
      return Ksmd(pid, proc);
  }
  return std::nullopt;
}

std::optional<int> Ksmd::nice() const {
  errno = 0;
  int value = ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid_));
  if (value == -1 && errno != 0) return std::nullopt;
  return value;
}

std::optional<double> Ksmd::cpu_seconds() const {
  // Its first number is in nanoseconds (Documentation/scheduler/sched-stats.rst); stat counts in ticks.
  std::ifstream schedstat(proc_ / std::to_string(pid_) / "schedstat");
  double nanoseconds = 0;
  if (!(schedstat >> nanoseconds)) return std::nullopt;
  return nanoseconds / 1e9;
}

std::optional<std::string> Ksmd::stands_still(double seconds) const {
  using Clock = std::chrono::steady_clock;
  const ProcFs processes(proc_);
  const std::optional<double> before = cpu_seconds();
  const auto waits = [&] {
    const auto stat = processes.stat(pid_);
    return stat && stat->state == 'D' && cpu_seconds() == before;
  };
  for (const auto end = Clock::now() + std::chrono::duration<double>(seconds); waits();) {
    if (Clock::now() >= end) return where();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return std::nullopt;
}

/// The innermost function that says something, of lines like "[<0>] __flush_work+0x1a3/0x2f0".
std::string Ksmd::where() const {
  std::ifstream stack(proc_ / std::to_string(pid_) / "stack");
  std::string innermost;
  for (std::string line; std::getline(stack, line);) {
    const std::size_t begin = line.find("] ") + 2;
    if (begin < 2 || begin > line.size()) continue;
    const std::string function = line.substr(begin, line.find('+') - begin);
    if (function.ends_with("lru_add_drain_all")) return "lru_add_drain_all";
    if (innermost.empty()) innermost = function;
  }
  return innermost;
}

bool Ksmd::set_nice(int value) const {
  return ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid_), value) == 0;
}

}  // namespace samepage

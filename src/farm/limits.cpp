#include "farm/limits.hpp"

#include <algorithm>

#include "linux/proc_fs.hpp"

namespace samepage::farm {

std::optional<std::chrono::milliseconds> Limits::every() const {
  using std::chrono::milliseconds;
  std::optional<milliseconds> result;
  if (time_.count()) result = std::clamp(time_ / 10, milliseconds(5), milliseconds(500));
  if (memory_) result = std::min(result.value_or(milliseconds(20)), milliseconds(20));
  return result;
}

std::uint64_t Limits::anonymous_kb(pid_t pid) {
  const auto status = ProcFs().status(pid);
  return status ? status->rss_anon.value_or(0) : 0;
}

std::optional<std::string> Limits::breach(const Desk& desk, pid_t pid,
                                          std::uint64_t memory_at_fork_kb) const {
  if (const std::uint64_t started = desk.started_ns.load(std::memory_order_acquire);
      time_.count() && started) {
    const std::uint64_t now = coarse_ns();
    const auto limit = static_cast<std::uint64_t>(std::chrono::nanoseconds(time_).count());
    if (now > started && now - started > limit && desk.started_ns.load(std::memory_order_acquire) == started)
      return "took longer than the time limit of " + std::to_string(time_.count()) + " ms";
  }
  if (memory_ && anonymous_kb(pid) > memory_at_fork_kb + memory_ / 1024)
    return "took more memory than the limit of " + std::to_string(memory_ >> 20) + " MB";
  return std::nullopt;
}

}  // namespace samepage::farm

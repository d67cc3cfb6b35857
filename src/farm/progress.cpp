#include "farm/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "linux/proc_fs.hpp"

namespace samepage::farm {

namespace {

/// Means over the workers, MB.
std::string memory_of(std::span<const pid_t> workers) {
  std::uint64_t own = 0, shared = 0, count = 0;
  for (const pid_t pid : workers) {
    const auto rollup = ProcFs().smaps_rollup(pid);
    if (!rollup) continue;
    own += rollup->private_clean + rollup->private_dirty;
    shared += rollup->shared_clean + rollup->shared_dirty;
    ++count;
  }
  if (count == 0) return {};
  return fmt::format(", private/shared {}/{} MB each", own / count / 1024, shared / count / 1024);
}

}  // namespace

Progress::Progress(Options::Progress how, const SharedState& shared) : shared_(shared) {
  terminal_ = how == Options::Progress::terminal && isatty(STDERR_FILENO);
  if (terminal_) every_ = std::chrono::milliseconds(1000);
  if (how == Options::Progress::lines) every_ = std::chrono::milliseconds(10'000);
}

Progress::~Progress() {
  if (terminal_ && said_) std::fputs("\r\033[K", stderr);
}

void Progress::say_if_due(const Report& so_far, std::span<const pid_t> workers) {
  const auto now = std::chrono::steady_clock::now();
  if (!every_ || now - last_ < *every_) return;
  last_ = now;
  const Control& control = shared_.control();
  const std::uint64_t done = control.events_done.load(std::memory_order_relaxed);
  if (!said_) first_events_ = so_far.events;
  said_ = true;
  const double rate =
      static_cast<double>(done - first_events_) / std::chrono::duration<double>(now - began_).count();
  std::string left;
  // Before the source's end nobody knows how much there is.
  if (Dispatch(shared_.control().dispatch).total() != Dispatch::kUnknown && rate > 0) {
    const auto rest = static_cast<double>(control.events_read.load(std::memory_order_relaxed) - done);
    left = fmt::format(", {:.0f} s left", rest / rate);
  }
  const std::string line =
      fmt::format("farm: {} events, {:.1f}/s{}, {} workers{}, {} retries, {} in quarantine", done, rate, left,
                  workers.size(), memory_of(workers), so_far.retries,
                  control.quarantined.load(std::memory_order_relaxed));
  if (terminal_) {
    std::fprintf(stderr, "\r%s\033[K", line.c_str());
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
}

}  // namespace samepage::farm

#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "farm/shared_state.hpp"

namespace samepage::farm {

/// Whether a worker takes too long for its event, or too much memory.
class Limits {
 public:
  explicit Limits(const Options& options) : time_(options.time_limit), memory_(options.memory_limit) {}

  /// How often breach() wants to be asked; nothing: there are no limits.
  std::optional<std::chrono::milliseconds> every() const;
  /// The reason to kill the worker, if there is one. `memory_at_fork_kb` is anonymous_kb() of what it was
  /// forked from.
  std::optional<std::string> breach(const Desk& desk, pid_t pid, std::uint64_t memory_at_fork_kb) const;

  static std::uint64_t anonymous_kb(pid_t pid);

 private:
  std::chrono::milliseconds time_;
  std::size_t memory_;
};

}  // namespace samepage::farm

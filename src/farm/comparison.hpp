#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "farm/shared_state.hpp"

namespace samepage::farm {

/// Compares the memory of a job's processes now and then (Options::why), for at most a twentieth of the time.
class Comparison {
 public:
  Comparison(const Options& options, const SharedState& shared) : wanted_(options.why), shared_(shared) {}

  /// How often is_due() wants to be asked; nothing: never.
  std::optional<std::chrono::milliseconds> every() const;
  /// Every worker has done an event, and the last comparison is long enough ago.
  bool is_due() const;
  /// Puts what it finds into the report, unless it was cancelled or a process ended meanwhile.
  void compare(const std::vector<pid_t>& processes, const std::function<bool()>& cancelled, Report& report);

 private:
  using Clock = std::chrono::steady_clock;

  bool wanted_;
  const SharedState& shared_;
  Clock::time_point next_{};
};

}  // namespace samepage::farm

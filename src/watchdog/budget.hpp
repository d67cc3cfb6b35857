#pragma once

#include <algorithm>
#include <optional>

#include "watchdog/limits.hpp"

namespace samepage {

/// How much CPU ksmd may still take: what it uses runs out of a bucket that fills at the allowed rate.
class CpuBudget {
 public:
  explicit CpuBudget(const PolicyLimits& limits) : limits_(limits), left_(limits.cpu * limits.window) {}

  /// `ksmd_cpu`, seconds since boot, is absent where ksmd is not seen; time in a burst stands in then.
  void spend(double seconds, std::optional<double> ksmd_cpu, bool bursting, bool pressed) {
    const double passed = before_ ? std::max(0., seconds - *before_) : 0;
    const double used = ksmd_cpu && cpu_before_ ? *ksmd_cpu - *cpu_before_ : bursting ? passed : 0;
    before_ = seconds;
    cpu_before_ = ksmd_cpu;
    const double rate = pressed ? limits_.cpu_under_pressure : limits_.cpu;
    left_ = std::min(left_ + rate * passed - std::max(0., used), limits_.cpu * limits_.window);
  }

  void change(const PolicyLimits& limits) {
    limits_ = limits;
    left_ = std::min(left_, limits.cpu * limits.window);
  }

  double left() const { return left_; }
  bool empty() const { return left_ <= 0; }
  /// Enough to begin a burst that was ended for want of it: not for every drop.
  bool refilled() const { return left_ >= limits_.cpu * limits_.window / 4; }

 private:
  PolicyLimits limits_;
  double left_;
  std::optional<double> before_, cpu_before_;
};

}  // namespace samepage

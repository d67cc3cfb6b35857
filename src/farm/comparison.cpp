#include "farm/comparison.hpp"

#include <algorithm>
#include <samepage/census.hpp>

namespace samepage::farm {

namespace {

constexpr double kShare = 0.05, kLeastPause = 2;

}  // namespace

std::optional<std::chrono::milliseconds> Comparison::every() const {
  return wanted_ ? std::optional(std::chrono::milliseconds(100)) : std::nullopt;
}

bool Comparison::is_due() const {
  if (!wanted_ || Clock::now() < next_) return false;
  const auto desks = shared_.desks();
  return std::all_of(desks.begin(), desks.end(),
                     [](const Desk& desk) { return desk.events_done.load(std::memory_order_relaxed) > 0; });
}

void Comparison::compare(const std::vector<pid_t>& processes, const std::function<bool()>& cancelled,
                         Report& report) {
  CensusOptions options;
  options.cancelled = cancelled;
  const Census census = take_census(processes, options);
  const std::chrono::duration<double> pause(std::max(kLeastPause, census.seconds / kShare));
  next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(pause);
  if (!census.troubles.empty()) return;
  report.together_bytes = census.together;
  report.ideal_bytes = census.ideal;
}

}  // namespace samepage::farm

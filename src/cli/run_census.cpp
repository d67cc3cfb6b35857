#include "cli/run_census.hpp"

#include <algorithm>

namespace samepage {

void RunCensus::look(const Accounts& accounts) {
  constexpr double kShare = 0.05, kLeastPause = 2;
  if (accounts.samples().empty()) return;
  const GroupTotals& now = accounts.samples().back();
  if (!now.settled || now.time == last_sample_ || now.time < next_) return;
  last_sample_ = now.time;
  std::vector<pid_t> pids;
  for (const ProcessRow& row : accounts.rows())
    if (!row.exit_code && !row.signal) pids.push_back(row.pid);
  Census census = take_census(pids);
  next_ = now.time + std::max(kLeastPause, census.seconds / kShare);
  if (census.rss && (census.troubles.empty() || !last_)) last_ = std::move(census);
}

}  // namespace samepage

#pragma once

#include <set>
#include <string>
#include <vector>

#include "watchdog/decision.hpp"
#include "watchdog/limits.hpp"
#include "watchdog/sample.hpp"
#include "watchdog/tracks.hpp"

namespace samepage {

/// Decides which processes the daemon registers with KSM, and which it takes out again.
///
/// A *group* is the processes of one executable and one user. KSM merges across the host, and who can write
/// to merged memory can learn by timing what others hold; so processes of different users are never both
/// adopted, unless the rules of both say `across_users`.
class Adoption {
 public:
  Adoption(const PolicyLimits& limits, std::vector<RuleLimits> rules)
      : limits_(limits), rules_(std::move(rules)) {}

  std::vector<Decision> next(const HostSample& sample, const Tracks& tracks);

  /// Processes that a rule takes and that only have to settle: another look soon is worth it.
  bool waiting() const { return waiting_; }

 private:
  void release_what_never_pays(const HostSample& sample, const Tracks& tracks, std::vector<Decision>& out);
  void adopt_groups(const HostSample& sample, const Tracks& tracks, std::vector<Decision>& out);
  void note_once(const std::string& line, std::vector<Decision>& out);

  PolicyLimits limits_;
  std::vector<RuleLimits> rules_;
  std::set<std::string> noted_;
  bool waiting_ = false;
};

}  // namespace samepage

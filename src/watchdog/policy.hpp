#pragma once

#include <optional>
#include <string>
#include <vector>

#include "watchdog/adoption.hpp"
#include "watchdog/budget.hpp"
#include "watchdog/burst_judge.hpp"
#include "watchdog/decision.hpp"
#include "watchdog/limits.hpp"
#include "watchdog/sample.hpp"
#include "watchdog/tracks.hpp"

namespace samepage {

/// Decides when KSM is worth its CPU. It knows nothing but its samples, so that a recorded trace gives the
/// same decisions again.
///
/// ksmd rests (run=0 keeps what is merged) until registered processes hold new memory worth a burst and have
/// settled; a burst goes on until a pass brings less than it costs (burst_judge.hpp). Memory that was merged
/// and written to, or that kept changing while it was looked at, is tried again with a back-off that doubles
/// while that brings nothing. All within a budget of CPU (budget.hpp). Where somebody else sets KSM's pace,
/// the policy says so and leaves it to him.
class WatchdogPolicy {
 public:
  WatchdogPolicy(const PolicyLimits& limits, std::vector<RuleLimits> rules)
      : limits_(limits),
        tracks_(limits),
        budget_(limits),
        adoption_(limits, std::move(rules)),
        retry_wait_(limits.first_retry) {}

  std::vector<Decision> next(const HostSample& sample);

  /// From the next sample on these hold; its processes' `rule` must count in the new rules. A burst under way
  /// ends by the old limits, and what was adopted stays.
  void change(const PolicyLimits& limits, std::vector<RuleLimits> rules);

  /// Seconds until the next look is due.
  double look_again_in() const;

  bool bursting() const { return burst_.has_value(); }
  bool hands_off() const { return !hands_off_.empty(); }
  bool pressed() const { return pressed_; }
  double budget_left() const { return budget_.left(); }
  const Tracks& tracks() const { return tracks_; }

 private:
  void see_pressure(const HostSample& sample);
  void see_hands_off(const HostSample& sample);
  void say_surprises(const HostSample& sample);
  void answer(const HostSample& sample);
  void perhaps_begin(const HostSample& sample);
  void begin(const HostSample& sample, const std::string& reason, std::uint64_t fresh, bool retry);
  void perhaps_end(const HostSample& sample);
  void end(const HostSample& sample, const std::string& reason, bool looked_at);
  void say(Decision::What what, const std::string& reason, pid_t pid = 0);

  double gain_wanted() const { return pressed_ ? limits_.gain / 4 : limits_.gain; }
  /// The least new memory for which a burst is begun: three passes over all that is registered must pay.
  double worth() const;

  PolicyLimits limits_;
  Tracks tracks_;
  CpuBudget budget_;
  Adoption adoption_;
  std::vector<Decision> out_;

  std::optional<BurstJudge> burst_;
  bool burst_is_retry_ = false;
  bool pressed_ = false, starved_ = false, said_sharing_ = false, said_nodes_ = false;
  bool adopting_ = false;              ///< at this look: what is adopted is new memory at the next
  std::string hands_off_;              ///< why the pace is left alone
  std::optional<double> worth_since_;  ///< since when new memory is worth a burst
  double last_end_ = -1e9;
  double hold_until_ = -1e9;        ///< no burst before this
  double retry_wait_;               ///< the back-off, and…
  std::optional<double> retry_at_;  ///< …when memory that changed while it was compared is looked at again
  double idle_pass_cpu_ = 0;        ///< seconds of ksmd for a pass that merges nothing
};

}  // namespace samepage

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "watchdog/limits.hpp"
#include "watchdog/sample.hpp"
#include "watchdog/tracks.hpp"

namespace samepage {

/// Follows one burst and says when it has done its work.
///
/// ksmd merges a page when the second pass finds it unchanged, and the pass under way at the beginning is not
/// a whole one; so what was there at the beginning is done when the third ends. The end of a pass is not
/// waited for when all that was new is merged, or nearly all and nothing more comes.
class BurstJudge {
 public:
  /// `fresh` bytes are new, or `lost` ones of them written to after they were merged: these still stand in
  /// the kernel's count of merged pages until ksmd comes by.
  BurstJudge(const PolicyLimits& limits, const HostSample& sample, std::uint64_t fresh, std::uint64_t lost);

  struct End {
    std::string reason;
    bool exhausted;  ///< what is still unmerged was looked at
  };
  std::optional<End> next(const HostSample& sample, Tracks& tracks, double gain_wanted);

  /// A request joins: it has two whole passes before it.
  void prolong() {
    judge_from_ = std::max(judge_from_, passes_ + 3);
    thorough_ = true;
  }

  std::int64_t merged(const HostSample& sample) const;  ///< bytes, since the beginning
  double cpu(const HostSample& sample) const;           ///< ksmd's seconds, since the beginning
  /// Of the last pass, if it gained little: what looking alone costs.
  std::optional<double> idle_pass_cpu() const { return idle_pass_cpu_; }

 private:
  struct Mark {
    double seconds, cpu;
    std::int64_t merged;
  };
  Mark mark(const HostSample& sample) const;
  std::optional<End> end_of_pass(const Mark& now, const Tracks& tracks, double gain_wanted, double changing);
  std::optional<End> all_merged(const Tracks& tracks, double seconds, double changing) const;
  std::optional<End> run_dry(const Mark& now, const Tracks& tracks, double seconds, double gain_wanted);

  PolicyLimits limits_;
  Mark begin_, pass_, window_;
  std::uint64_t fresh_, full_scans_;
  bool thorough_;  ///< unmerged memory may be there that the counts do not show yet
  std::uint64_t passes_ = 0, judge_from_ = 3;
  std::optional<double> idle_pass_cpu_;
};

/// Bytes that KSM saves on this host, zero pages included.
std::int64_t saved_bytes(const KsmCounters& counters);

}  // namespace samepage

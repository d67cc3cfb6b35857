#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "watchdog/limits.hpp"
#include "watchdog/sample.hpp"

namespace samepage {

/// What is remembered of a process from look to look. Bytes and seconds.
struct Track {
  std::uint64_t start_time = 0;
  bool registered = false, adopted = false;
  bool tells = false;  ///< the kernel says how much of it is merged
  std::uint64_t anonymous = 0, merged = 0;
  double since = 0;  ///< first seen
  std::uint64_t still_at = 0;
  double still_since = 0;
  std::uint64_t unique = 0;                       ///< unmerged, and left so by a burst
  std::uint64_t lost = 0;                         ///< un-merged by writes since the last burst…
  double lost_at = 0;                             ///< …and when that went on last
  std::uint64_t at_pass = 0, at_pass_before = 0;  ///< `anonymous` when ksmd's last two passes ended
  int bursts = 0;                                 ///< that went over it while it was adopted
  double adopted_since = 0;

  std::uint64_t unmerged() const { return anonymous - std::min(anonymous, merged); }
  /// What a burst might merge.
  std::uint64_t fresh() const { return registered ? unmerged() - std::min(unmerged(), unique) : 0; }
  /// Of these, what is new, not what was merged before and written to.
  std::uint64_t grown() const { return fresh() - std::min(fresh(), lost); }
};

/// Every process of the samples, by PID.
class Tracks {
 public:
  explicit Tracks(const PolicyLimits& limits) : limits_(limits) {}

  void change(const PolicyLimits& limits) { limits_ = limits; }
  void see(const HostSample& sample, bool bursting);

  void begin_burst();
  void end_pass();
  /// What is still unmerged was compared twice and is unique, but for what came during the last two passes.
  void end_burst();

  struct Fresh {
    std::uint64_t settled = 0, growing = 0;  ///< new memory
    std::uint64_t lost = 0;                  ///< written to, and quiet for `retry` since
    std::size_t processes = 0;               ///< with any of these
    std::uint64_t all() const { return settled + growing; }
  };
  Fresh fresh(double seconds, double retry) const;
  /// What came since the end of the pass before last: no burst that ends now has compared it.
  std::uint64_t late() const;
  std::uint64_t registered_bytes() const;
  bool settled(const Track& track, double seconds) const {
    return seconds - track.still_since >= limits_.quiet;
  }

  const Track* find(pid_t pid) const {
    const auto found = tracks_.find(pid);
    return found == tracks_.end() ? nullptr : &found->second;
  }
  const std::map<pid_t, Track>& all() const { return tracks_; }

 private:
  PolicyLimits limits_;
  std::map<pid_t, Track> tracks_;
};

}  // namespace samepage

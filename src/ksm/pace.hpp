#pragma once

#include <cstdint>
#include <optional>

namespace samepage {

/// When a burst is worth it. Seconds, bytes, and parts of the group's memory.
struct KsmPaceRules {
  double quiet = 1.5;                   ///< a group that has not grown for this long has stopped growing
  double longest_wait = 30;             ///< one that never stops is merged after this all the same
  double patience = 60;                 ///< a burst in which ksmd gets nothing done for this long is given up
  double growth = 0.01;                 ///< a rise by less than this part counts as still
  double worth = 0.03;                  ///< a burst begins for this part of unmerged memory…
  std::uint64_t worth_least = 8 << 20;  ///< …but for no less than this
  double gain = 0.005;                  ///< a burst goes on while two passes merge this part
};

struct KsmPaceSample {
  double seconds = 0;
  std::uint64_t anonymous_bytes = 0;  ///< of the group, merged or not
  std::uint64_t merged_bytes = 0;     ///< of these, in merged pages
  std::uint64_t full_scans = 0;       ///< ksmd's complete passes
};

/// Decides when ksmd should work fast for a group. It knows nothing but its samples.
///
/// Idle until the group's unmerged memory has risen by something worth it and the group has stopped growing;
/// then a burst, until two complete passes bring nearly nothing more. What a burst leaves unmerged is unique,
/// and is what later growth is measured from.
class KsmPace {
 public:
  explicit KsmPace(const KsmPaceRules& rules = {}) : rules_(rules) {}

  /// True while a burst should be on.
  bool next(const KsmPaceSample& sample);

 private:
  struct Burst {
    std::uint64_t judge_at;       ///< the value of full_scans at which the gain is judged
    std::uint64_t merged_before;  ///< bytes merged when the passes to be judged began…
    std::uint64_t bytes_before;   ///< …and the group's bytes then
    std::uint64_t full_scans;     ///< when last looked
    double last_pass;             ///< when full_scans last rose
  };

  bool is_quiet(const KsmPaceSample& sample);
  bool is_worth_it(const KsmPaceSample& sample);
  bool is_exhausted(const KsmPaceSample& sample);

  KsmPaceRules rules_;
  std::optional<Burst> burst_;
  std::uint64_t unique_ = 0;           ///< unmerged bytes that the last burst could not merge
  std::uint64_t still_at_ = 0;         ///< the group's bytes when it last grew…
  double still_since_ = 0;             ///< …and when that was
  std::optional<double> worth_since_;  ///< since when a burst has been worth it
};

}  // namespace samepage

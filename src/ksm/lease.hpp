#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "ksm/ledger.hpp"
#include "ksm/pace.hpp"

namespace samepage {

/// Where the lease reads and writes; tests give folders of their own.
struct KsmPlaces {
  std::filesystem::path sysfs = "/sys/kernel/mm/ksm";
  std::filesystem::path proc = "/proc";
  std::filesystem::path run = "/run/samepage";
};

/// What the owner of a lease tells it about its processes.
struct KsmGroupSample {
  double seconds = 0;                 ///< of a clock that only goes forward
  std::uint64_t anonymous_bytes = 0;  ///< Σ RssAnon of the group (/proc/PID/status)
  /// Σ /proc/PID/ksm_merging_pages × page size; absent (older kernel): the whole host's counters stand in.
  std::optional<std::uint64_t> merged_bytes = std::nullopt;
};

/// With the host's counters.
KsmPaceSample pace_sample(const KsmGroupSample& sample, const KsmPlaces& places);

/// Lets ksmd work fast for one group, together with whoever else wants that at the same time.
///
///     KsmLease::repair();                                  // at every start, with or without --ksm
///     std::string why_not;
///     std::optional<KsmLease> lease = KsmLease::take(why_not);
///     if (!lease) fmt::print(stderr, "samepage: {}\n", why_not);
///     … every half second: if (lease) lease->tick(sample); … its destructor puts everything back
///
/// The kernel's settings are changed in bursts only (see pace.hpp). Whoever is in a burst stands as a holder,
/// by PID and start time, in `run`/ksm.json; the first records the settings found, the last one out restores
/// them. Only values that are still ours are put back; what a third party changed meanwhile stays. A holder
/// that was killed is dropped by the next call of repair() or the next burst of anybody. KSM that somebody
/// else had turned on stays on and is only made faster.
///
/// The lease registers no memory. From Linux 6.4 on the group's preload does that, in every copy before main,
/// by prctl(PR_SET_MEMORY_MERGE = 67, 1, 0, 0, 0); the heap then takes its per-event memory out again. On an
/// older kernel, where that prctl gives EINVAL, the environment SAMEPAGE_KSM=constant makes the heap register
/// what is constant.
///
/// One lease a process, used by one thread. A forked child's copy of the object does nothing.
class KsmLease {
 public:
  /// Changes nothing yet. Nothing is returned, and `why_not` is one line, where KSM is missing or may not be
  /// set.
  static std::optional<KsmLease> take(std::string& why_not, const KsmPlaces& places = {});

  /// Puts back what a killed holder left behind. Cheap, and does nothing without the permission to.
  static void repair(const KsmPlaces& places = {});

  KsmLease(KsmLease&& other) noexcept;
  KsmLease& operator=(KsmLease&&) = delete;
  ~KsmLease();

  /// Looks at the kernel's counters and at the group, and begins or ends a burst.
  void tick(const KsmGroupSample& sample);

  /// Begins or ends a burst at the caller's own judgement; who uses it does not call tick(). Returns whether
  /// one is on now.
  bool set_bursting(bool wanted);

  bool bursting() const { return bursting_; }

 private:
  KsmLease(const KsmPlaces& places, const KsmHolder& self) : places_(places), self_(self) {}

  bool begin_burst() const;
  void end_burst() const;

  KsmPlaces places_;
  KsmHolder self_;
  KsmPace pace_;
  bool bursting_ = false;
};

}  // namespace samepage

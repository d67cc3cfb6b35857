#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "ksm/lease.hpp"
#include "ksm/pace.hpp"

namespace samepage {

/// For who may not set KSM: asks samepage watchdog for a burst whenever a lease would have begun one.
///
/// The watchdog sees by itself what has opted in, and bursts for what is worth 16 MB; asked, it does so at
/// once and for less. Its answer is not waited for. Used by one thread.
class WatchdogBursts {
 public:
  /// Nothing where no watchdog listens.
  static std::optional<WatchdogBursts> find(const KsmPlaces& places = {});

  /// True once for each burst that is worth it.
  bool worth_asking(const KsmGroupSample& sample);
  /// `pid`: a process of the group, of the caller's user and registered with KSM.
  void ask(pid_t pid) const;

 private:
  explicit WatchdogBursts(const KsmPlaces& places) : places_(places) {}

  KsmPlaces places_;
  KsmPace pace_;
  bool wanted_ = false;
};

}  // namespace samepage

#pragma once

#include <string>

#include "watchdog/policy.hpp"
#include "watchdog/sample.hpp"

namespace samepage {

/// What a daemon has done since its start.
struct WatchdogTally {
  std::uint64_t bursts = 0, adopted = 0, released = 0, adoptions_failed = 0, requests = 0, looks = 0;
  double burst_seconds = 0;
  double own_cpu = 0;
};

/// In Prometheus's text form (version 0.0.4). What the kernel does not tell is left out.
std::string metrics_text(const HostSample& sample, const WatchdogPolicy& policy, const WatchdogTally& tally);

}  // namespace samepage

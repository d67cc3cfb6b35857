#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "linux/ksm_sysfs.hpp"

namespace samepage {

/// One process at one look. Bytes; what the kernel does not tell is absent, which is not zero.
struct ProcessSeen {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< with the PID it names one process for good
  uid_t user = 0;
  std::string executable;
  std::uint64_t anonymous = 0;                         ///< resident, merged or not
  std::optional<std::uint64_t> merged = std::nullopt;  ///< of these, in merged pages (Linux 6.1)
  bool registered = false;                             ///< ksmd may look at some of its memory
  std::optional<std::size_t> rule = std::nullopt;      ///< the first rule that takes it
  bool adopted = false;                                ///< it was this daemon that registered it
  bool refused = false;                                ///< it could not be adopted, or was released for good
};

struct KsmSettingsSeen {
  std::string run;
  std::optional<std::string> advisor_mode = std::nullopt;  ///< Linux 6.8
  KsmBounds bounds = {};
};

/// One look at the host: all that the policy knows, and all that a trace holds.
struct HostSample {
  double seconds = 0;  ///< of a clock that only goes forward
  KsmCounters counters;
  KsmSettingsSeen settings;
  std::optional<double> ksmd_cpu = std::nullopt;  ///< seconds that ksmd has run since boot
  std::optional<double> pressure = std::nullopt;  ///< "some avg10" of /proc/pressure/memory, per cent
  std::uint64_t memory_available = 0, memory_total = 0;
  unsigned nodes = 1;     ///< of memory (NUMA)
  bool ksmtuned = false;  ///< the script is running
  bool bursting = false;  ///< ksmd works fast at this daemon's wish
  std::vector<ProcessSeen> processes = {};
  std::vector<pid_t> requests = {};  ///< processes for which a burst was asked
};

}  // namespace samepage

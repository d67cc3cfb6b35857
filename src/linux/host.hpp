#pragma once

#include <optional>
#include <string>

#include "linux/ksm_sysfs.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {

/// The machine as a whole; what the running kernel does not tell is absent.
struct Host {
  MemInfo memory;
  Pressure memory_pressure, io_pressure, cpu_pressure;
  std::optional<std::string> ksm_run;  ///< "0" off, "1" on, "2" un-merging; absent without KSM
  KsmCounters ksm;
};

Host read_host(const ProcFs& proc, const KsmSysfs& ksm);

}  // namespace samepage

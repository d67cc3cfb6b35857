#include "linux/host.hpp"

namespace samepage {

Host read_host(const ProcFs& proc, const KsmSysfs& ksm) {
  Host host;
  host.memory = proc.meminfo();
  host.memory_pressure = proc.pressure("memory");
  host.io_pressure = proc.pressure("io");
  host.cpu_pressure = proc.pressure("cpu");
  if (const KsmRead run = ksm.read(KsmSetting::run); run.access == KsmAccess::ok) host.ksm_run = run.value;
  host.ksm = ksm.counters();
  return host;
}

}  // namespace samepage

#include "watchdog/metrics.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace samepage {
namespace {

class Text {
 public:
  template <typename Value>
  void add(const char* name, const char* type, const char* help, Value value) {
    text_ += fmt::format("# HELP samepage_{0} {2}\n# TYPE samepage_{0} {1}\nsamepage_{0} {3}\n", name, type,
                         help, value);
  }
  void add_pages(const char* name, const char* help, const std::optional<std::uint64_t>& pages) {
    if (pages) add(name, "gauge", help, *pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string metrics_text(const HostSample& sample, const WatchdogPolicy& policy, const WatchdogTally& tally) {
  const auto count = [&](auto property) {
    return std::count_if(sample.processes.begin(), sample.processes.end(), property);
  };
  Text text;
  if (sample.counters.pages_sharing)
    text.add("ksm_saved_bytes", "gauge", "Memory that merging saves on this host, zero pages included.",
             saved_bytes(sample.counters));
  text.add_pages("ksm_merged_bytes", "Memory in merged pages, each counted once.",
                 sample.counters.pages_shared);
  text.add_pages("ksm_unshared_bytes", "Memory that ksmd found to be unique.",
                 sample.counters.pages_unshared);
  text.add_pages("ksm_volatile_bytes", "Memory that changed between two looks of ksmd.",
                 sample.counters.pages_volatile);
  if (sample.counters.general_profit)
    text.add("ksm_profit_bytes", "gauge", "What merging saves, less what it takes itself.",
             *sample.counters.general_profit);
  if (sample.counters.full_scans)
    text.add("ksm_full_scans_total", "counter", "Passes of ksmd over all registered memory.",
             *sample.counters.full_scans);
  if (sample.ksmd_cpu)
    text.add("ksmd_cpu_seconds_total", "counter", "CPU time of ksmd since boot.", *sample.ksmd_cpu);
  text.add("watchdog_cpu_seconds_total", "counter", "CPU time of the watchdog.", tally.own_cpu);
  text.add("watchdog_bursting", "gauge", "1 while the watchdog lets ksmd work fast.",
           policy.bursting() ? 1 : 0);
  text.add("watchdog_hands_off", "gauge", "1 while somebody else sets KSM's pace.",
           policy.hands_off() ? 1 : 0);
  text.add("watchdog_memory_short", "gauge", "1 while memory is short.", policy.pressed() ? 1 : 0);
  text.add("watchdog_budget_seconds", "gauge", "CPU time that ksmd may take now.", policy.budget_left());
  text.add("watchdog_registered_processes", "gauge", "Processes with memory that ksmd may merge.",
           count([](const ProcessSeen& process) { return process.registered; }));
  text.add("watchdog_adopted_processes", "gauge", "Processes that the watchdog registered.",
           count([](const ProcessSeen& process) { return process.adopted; }));
  text.add("watchdog_bursts_total", "counter", "Bursts begun.", tally.bursts);
  text.add("watchdog_burst_seconds_total", "counter", "Time spent in bursts.", tally.burst_seconds);
  text.add("watchdog_adoptions_total", "counter", "Processes registered.", tally.adopted);
  text.add("watchdog_failed_adoptions_total", "counter", "Processes that could not be registered.",
           tally.adoptions_failed);
  text.add("watchdog_releases_total", "counter", "Processes taken out again.", tally.released);
  text.add("watchdog_requests_total", "counter", "Bursts that programs asked for.", tally.requests);
  text.add("watchdog_looks_total", "counter", "Looks at the host.", tally.looks);
  return text.take();
}

}  // namespace samepage

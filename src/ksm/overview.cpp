#include "ksm/overview.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "ksm/ledger.hpp"
#include "linux/ksmd.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {
namespace {

constexpr double kStill = 1;  // seconds; the wait before a pass takes milliseconds

constexpr const char* kSettings[] = {
    "run",        "pages_to_scan",      "sleep_millisecs", "max_page_sharing",         "use_zero_pages",
    "smart_scan", "merge_across_nodes", "advisor_mode",    "advisor_target_scan_time", "advisor_max_cpu",
};

std::uint64_t page_size() {
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::optional<std::uint64_t> bytes_of(std::optional<std::uint64_t> pages) {
  return pages ? std::optional(*pages * page_size()) : std::nullopt;
}

std::optional<std::uint64_t> number(const std::optional<std::string>& text) {
  return text ? std::optional<std::uint64_t>(std::strtoull(text->c_str(), nullptr, 10)) : std::nullopt;
}

/// Absent for one that KSM does not know.
std::optional<KsmProcess> process_of(const ProcFs& proc, pid_t pid, const KsmStat& stat) {
  const std::uint64_t items = stat.rmap_items.value_or(0), merging = stat.merging_pages.value_or(0);
  if (!stat.merge_any.value_or(false) && !stat.mergeable.value_or(false) && items == 0 && merging == 0)
    return std::nullopt;
  KsmProcess process;
  process.pid = pid;
  if (const auto named = proc.stat(pid)) process.name = named->comm;
  if (const auto status = proc.status(pid); status && status->rss_anon)
    process.anonymous = *status->rss_anon * 1024;
  process.merged = bytes_of(stat.merging_pages);
  process.zero = bytes_of(stat.zero_pages);
  process.looked_at = items * page_size();
  process.whole = stat.merge_any;
  process.profit = stat.process_profit.value_or(
      static_cast<std::int64_t>(process.merged.value_or(0) + process.zero.value_or(0)) -
      static_cast<std::int64_t>(items * kRmapItemBytes));
  return process;
}

void add_processes(const KsmPlaces& places, KsmOverview& overview) {
  const ProcFs proc(places.proc);
  for (const pid_t pid : proc.pids()) {
    const auto stat = proc.ksm_stat(pid);
    overview.hidden_processes += stat.denied;
    if (!stat) continue;
    if (auto process = process_of(proc, pid, *stat)) overview.processes.push_back(std::move(*process));
  }
  std::sort(overview.processes.begin(), overview.processes.end(),
            [](const KsmProcess& a, const KsmProcess& b) {
              return a.profit != b.profit ? a.profit > b.profit : a.pid < b.pid;
            });
}

void add_meaning(KsmOverview& overview) {
  const KsmCounters& counters = overview.counters;
  if (counters.pages_sharing)
    overview.saved = (*counters.pages_sharing + counters.ksm_zero_pages.value_or(0)) * page_size();
  if (counters.pages_shared && counters.pages_sharing && counters.pages_unshared && counters.pages_volatile) {
    const std::uint64_t merged = *counters.pages_shared + *counters.pages_sharing;
    const std::uint64_t known = merged + *counters.pages_unshared + *counters.pages_volatile;
    overview.looked_at = known * page_size();
    if (known) overview.merged_part = static_cast<double>(merged) / static_cast<double>(known);
  }
  if (overview.looked_at && overview.scan_rate.value_or(0))
    overview.pass_seconds =
        static_cast<double>(*overview.looked_at) / static_cast<double>(*overview.scan_rate);
  // The kernel counts its items itself, and tells only the profit (Linux 6.4); before, what it knows stands
  // in.
  if (overview.saved && counters.general_profit)
    overview.overhead = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, static_cast<std::int64_t>(*overview.saved) - *counters.general_profit));
  else if (overview.looked_at)
    overview.overhead = *overview.looked_at / page_size() * kRmapItemBytes;
  if (overview.saved && overview.overhead)
    overview.profit =
        static_cast<std::int64_t>(*overview.saved) - static_cast<std::int64_t>(*overview.overhead);
  std::uint64_t anonymous = 0, known = 0;
  for (const KsmProcess& process : overview.processes) {
    anonymous += process.anonymous.value_or(0);
    known += process.looked_at;
  }
  if (anonymous)
    overview.coverage = std::min(1.0, static_cast<double>(known) / static_cast<double>(anonymous));
}

}  // namespace

KsmOverview ksm_overview(const KsmPlaces& places) {
  KsmOverview overview;
  const KsmSysfs sysfs(places.sysfs);
  overview.present = sysfs.read(KsmSetting::run).access != KsmAccess::missing;
  if (!overview.present) return overview;
  for (const char* name : kSettings)
    if (const auto value = sysfs.text(name)) overview.settings.emplace_back(name, *value);
  overview.counters = sysfs.counters();
  const auto pages = number(sysfs.text("pages_to_scan")), pause = number(sysfs.text("sleep_millisecs"));
  if (pages && pause) overview.scan_rate = *pages * page_size() * 1000 / std::max<std::uint64_t>(1, *pause);
  add_processes(places, overview);
  add_meaning(overview);
  if (sysfs.read(KsmSetting::run).value == "1")
    if (const auto ksmd = Ksmd::find(places.proc)) overview.stuck_in = ksmd->stands_still(kStill);
  std::string why_not;
  if (KsmLedger::exists(places.run))
    if (const auto ledger = KsmLedger::open(places.run, why_not))
      if (const auto record = ledger->load())
        for (const KsmHolder& holder : record->holders) overview.holders.push_back(holder.pid);
  return overview;
}

}  // namespace samepage

#include "ksm/lease.hpp"

#define FMT_HEADER_ONLY
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "ksm/burst.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {
namespace {

/// Absent when there is no such process, or only its zombie.
std::optional<std::uint64_t> start_time(pid_t pid, const std::filesystem::path& proc) {
  ProcRead<ProcStat> stat = ProcFs(proc).stat(pid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  return stat->start_time;
}

/// Ends the hold of those who have died, and of `leaver`.
void drop_holders(KsmRecord& record, const std::filesystem::path& proc, const KsmHolder& leaver = {}) {
  std::erase_if(record.holders, [&](const KsmHolder& holder) {
    return holder == leaver || start_time(holder.pid, proc) != holder.start_time;
  });
}

/// The last one out puts everything back.
void settle(const KsmLedger& ledger, const KsmRecord& record, const KsmKnobs& knobs) {
  if (!record.holders.empty()) {
    ledger.save(record);
    return;
  }
  undo_changes(record.changes, knobs);
  ledger.clear();
}

/// One line for a user, or nothing where the lease may be taken.
std::optional<std::string> obstacle(const KsmSysfs& sysfs) {
  std::string run = sysfs.read(KsmSetting::run).value;
  switch (sysfs.writable(KsmSetting::run)) {
    case KsmAccess::ok:
      break;
    case KsmAccess::missing:
      return "this kernel has no KSM; equal pages are not merged";
    case KsmAccess::denied:
      if (run == "1") return "KSM is on, and runs at its own pace: only root may set it";
      return "KSM is off, and only root may turn it on; equal pages are not merged";
    case KsmAccess::refused:
      return "the kernel does not let KSM be set; equal pages are not merged";
  }
  if (run == "2") return "KSM was switched off for this host (run is 2); equal pages are not merged";
  return std::nullopt;
}

}  // namespace

std::optional<KsmLease> KsmLease::take(std::string& why_not, const KsmPlaces& places) {
  if (std::optional<std::string> line = obstacle(KsmSysfs(places.sysfs))) {
    why_not = *line;
    return std::nullopt;
  }
  std::optional<KsmLedger> ledger = KsmLedger::open(places.run, why_not);
  if (!ledger) return std::nullopt;
  if (!ledger->load()) {
    why_not = fmt::format("{}/ksm.json is damaged or of another version of samepage; KSM is left as it is",
                          places.run.native());
    return std::nullopt;
  }
  KsmHolder self{::getpid(), start_time(::getpid(), places.proc).value_or(0)};
  return KsmLease(places, self);
}

void KsmLease::repair(const KsmPlaces& places) {
  if (!KsmLedger::exists(places.run) || KsmSysfs(places.sysfs).writable(KsmSetting::run) != KsmAccess::ok)
    return;
  std::string why_not;
  std::optional<KsmLedger> ledger = KsmLedger::open(places.run, why_not);
  std::optional<KsmRecord> record = ledger ? ledger->load() : std::nullopt;
  if (!record) return;
  drop_holders(*record, places.proc);
  settle(*ledger, *record, KsmKnobs(places.sysfs, places.proc));
}

KsmLease::KsmLease(KsmLease&& other) noexcept
    : places_(std::move(other.places_)),
      self_(other.self_),
      pace_(other.pace_),
      bursting_(std::exchange(other.bursting_, false)) {}

KsmLease::~KsmLease() {
  if (bursting_ && self_.pid == ::getpid()) end_burst();
}

KsmPaceSample pace_sample(const KsmGroupSample& sample, const KsmPlaces& places) {
  KsmCounters counters = KsmSysfs(places.sysfs).counters();
  std::uint64_t merged_on_host = (counters.pages_shared.value_or(0) + counters.pages_sharing.value_or(0)) *
                                 static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {.seconds = sample.seconds,
          .anonymous_bytes = sample.anonymous_bytes,
          .merged_bytes = sample.merged_bytes.value_or(merged_on_host),
          .full_scans = counters.full_scans.value_or(0)};
}

void KsmLease::tick(const KsmGroupSample& sample) {
  set_bursting(pace_.next(pace_sample(sample, places_)));
}

bool KsmLease::set_bursting(bool wanted) {
  if (wanted && !bursting_) bursting_ = begin_burst();
  if (!wanted && bursting_) {
    end_burst();
    bursting_ = false;
  }
  return bursting_;
}

bool KsmLease::begin_burst() const {
  std::string why_not;
  std::optional<KsmLedger> ledger = KsmLedger::open(places_.run, why_not);
  std::optional<KsmRecord> record = ledger ? ledger->load() : std::nullopt;
  KsmKnobs knobs(places_.sysfs, places_.proc);
  if (!record || knobs.get("run") == "2") return false;
  drop_holders(*record, places_.proc);
  bool first = record->holders.empty();
  if (first) {
    undo_changes(record->changes, knobs);
    record->changes = changes_for_burst(knobs);
  }
  record->holders.push_back(self_);
  // Written down before it is done, so that a kill in between can be repaired.
  if (!ledger->save(*record)) return false;
  if (first) apply_changes(record->changes, knobs);
  return true;
}

void KsmLease::end_burst() const {
  std::string why_not;
  std::optional<KsmLedger> ledger = KsmLedger::open(places_.run, why_not);
  std::optional<KsmRecord> record = ledger ? ledger->load() : std::nullopt;
  if (!record) return;
  drop_holders(*record, places_.proc, self_);
  settle(*ledger, *record, KsmKnobs(places_.sysfs, places_.proc));
}

}  // namespace samepage

#include "ksm/resting.hpp"

#include <algorithm>

#include "ksm/ledger.hpp"
#include "linux/ksm_sysfs.hpp"

namespace samepage {
namespace {

std::string words_of(KsmAccess access) {
  switch (access) {
    case KsmAccess::ok:
      return "";
    case KsmAccess::missing:
      return "this kernel has no KSM";
    case KsmAccess::denied:
      return "only root may set KSM, where /sys is not read-only";
    case KsmAccess::refused:
      return "the kernel does not let KSM be set";
  }
  return "";
}

}  // namespace

RestingResult set_resting(bool on, const KsmPlaces& places) {
  RestingResult result;
  const KsmSysfs sysfs(places.sysfs);
  const std::string wanted = on ? "1" : "0";
  result.why_not = words_of(sysfs.writable(KsmSetting::run));
  if (!result.why_not.empty()) return result;
  KsmLease::repair(places);
  auto ledger = KsmLedger::open(places.run, result.why_not);
  if (!ledger) return result;
  auto record = ledger->load();
  if (!record) {
    result.why_not =
        (places.run / "ksm.json").string() + " is damaged or of another version; KSM is left as it is";
    return result;
  }
  if (record->holders.empty()) {
    result.why_not = words_of(sysfs.write(KsmSetting::run, wanted));
    result.done = result.why_not.empty();
    return result;
  }
  const auto change = std::find_if(record->changes.begin(), record->changes.end(),
                                   [](const KsmChange& made) { return made.knob == "run"; });
  if (change != record->changes.end())
    change->found = wanted;
  else
    record->changes.push_back({"run", wanted, "1"});  // it was on already when the burst began
  result.done = ledger->save(*record);
  if (!result.done) result.why_not = (places.run / "ksm.json").string() + " cannot be written";
  for (const KsmHolder& holder : record->holders) result.holders.push_back(holder.pid);
  return result;
}

}  // namespace samepage

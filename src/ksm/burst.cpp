#include "ksm/burst.hpp"

#include <cstdlib>

namespace samepage {
namespace {

constexpr int kBurstPages = 20000;
constexpr int kBurstSleep = 5;  // milliseconds
constexpr int kBurstNice = -5;

long number(const std::optional<std::string>& value) {
  return value ? std::strtol(value->c_str(), nullptr, 10) : 0;
}

bool is_fast(const KsmKnobs& knobs) {
  return number(knobs.get("pages_to_scan")) * kBurstSleep >=
         number(knobs.get("sleep_millisecs")) * kBurstPages;
}

}  // namespace

std::vector<KsmChange> changes_for_burst(const KsmKnobs& knobs) {
  std::vector<KsmChange> changes;
  auto want = [&](const char* knob, const std::string& ours) {
    std::optional<std::string> found = knobs.get(knob);
    if (found && *found != ours) changes.push_back({knob, *found, ours});
  };
  if (!is_fast(knobs)) {
    want("advisor_mode", "none");  // first: pages_to_scan is locked while the advisor runs
    want("pages_to_scan", std::to_string(kBurstPages));
    want("sleep_millisecs", std::to_string(kBurstSleep));
  }
  // Linux 6.7: a page that did not merge is passed over for up to eight passes. Equal pages that were
  // registered some passes apart are then never compared while all passes of a burst are few.
  want("smart_scan", "0");
  if (number(knobs.get("ksmd_nice")) > kBurstNice) want("ksmd_nice", std::to_string(kBurstNice));
  want("run", "1");
  return changes;
}

void apply_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs) {
  for (const KsmChange& change : changes) knobs.set(change.knob, change.ours);
}

void undo_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs) {
  for (auto change = changes.rbegin(); change != changes.rend(); ++change)
    if (knobs.get(change->knob) == change->ours) knobs.set(change->knob, change->found);
}

}  // namespace samepage

#include "watchdog/sampler.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "linux/memory_nodes.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kLarge = 4 << 20;  // bytes; smaller processes are passed over
// Growth of the host's anonymous memory for which processes are looked for, and soon.
constexpr std::uint64_t kGrowth = 4 << 20, kMuch = 64 << 20;
constexpr double kLongest = 30, kInBurst = 1;
constexpr std::uint64_t kFaults =
    2048;                        // pages that may have been written to, for which page tables are read…
constexpr double kAskPause = 5;  // …no more often than this
// Of one core, at most, goes into looking for processes. A look takes 1.5 ms for 120 of them, some 10 ms for
// 1000.
constexpr double kShareOfTime = 0.001, kShareForMuch = 0.01;

std::uint64_t page_size() {
  static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

Sampler::Sampler(const KsmPlaces& places, std::vector<Rule> rules)
    : sysfs_(places.sysfs),
      proc_(places.proc),
      ksmd_(Ksmd::find(places.proc)),
      rules_(std::move(rules)),
      nodes_(memory_nodes()) {}

void Sampler::change(std::vector<Rule> rules) {
  rules_ = std::move(rules);
  known_.clear();
  found_at_ = -1e9;
}

HostSample Sampler::look(double seconds, bool bursting, AdoptedBook& book, std::vector<pid_t> requests) {
  HostSample sample;
  sample.seconds = seconds;
  sample.bursting = bursting;
  sample.nodes = nodes_;
  const MemInfo memory = proc_.meminfo();
  sample.pressure = proc_.pressure("memory").some;
  sample.memory_total = memory.total.value_or(0) * 1024;
  sample.memory_available = memory.available.value_or(0) * 1024;
  const std::uint64_t anonymous = memory.anonymous.value_or(0) * 1024;
  if (!requests.empty() || is_due(seconds, anonymous, bursting)) {
    const double begin = cpu_seconds();
    find_processes();
    cost_ = cpu_seconds() - begin;
    found_at_ = seconds;
    anonymous_floor_ = anonymous;
  }
  anonymous_floor_ = std::min(anonymous_floor_, anonymous);
  sample.ksmtuned = ksmtuned_;
  for (auto process = known_.begin(); process != known_.end();) {
    if (found_at_ != seconds && !process->second.matters) {
      ++process;
      continue;
    }
    auto seen = see(process->first, process->second, book, seconds, bursting);
    process->second.matters = seen && (seen->registered || seen->rule);
    if (seen) sample.processes.push_back(std::move(*seen));
    process = seen ? std::next(process) : known_.erase(process);
  }
  if (found_at_ == seconds)
    book.keep_if([&](pid_t pid, std::uint64_t start_time) {
      const auto stat = proc_.stat(pid);
      return stat && stat->start_time == start_time;
    });
  // Last, so that the counters are not older than what is held against them.
  sample.counters = sysfs_.counters();
  const KsmRead run = sysfs_.read(KsmSetting::run), advisor = sysfs_.read(KsmSetting::advisor_mode);
  sample.settings.run = run.value;
  if (advisor.access == KsmAccess::ok) sample.settings.advisor_mode = advisor.value;
  sample.settings.bounds = sysfs_.bounds();
  if (ksmd_) sample.ksmd_cpu = ksmd_->cpu_seconds();
  sample.requests = std::move(requests);
  return sample;
}

bool Sampler::is_due(double seconds, std::uint64_t anonymous, bool bursting) const {
  const double passed = seconds - found_at_;
  const std::uint64_t growth = anonymous - std::min(anonymous, anonymous_floor_);
  if (passed < cost_ / (growth > kMuch ? kShareForMuch : kShareOfTime)) return false;
  // While ksmd merges, anonymous memory shrinks as fast as a new group may fill it.
  return growth > kGrowth || passed >= (bursting ? kInBurst : kLongest);
}

void Sampler::find_processes() {
  ksmtuned_ = false;
  std::map<pid_t, Known> before = std::exchange(known_, {});
  for (const pid_t pid : proc_.pids()) {
    const auto stat = proc_.stat(pid);
    if (!stat) continue;
    if (stat->comm == "ksmtuned" && stat->state != 'Z') ksmtuned_ = true;
    if (stat->rss_pages * page_size() < kLarge || pid == ::getpid()) continue;
    Known known;
    known.start_time = stat->start_time;
    const auto status = proc_.status(pid);
    const auto executable = proc_.executable(pid);
    if (!status || !status->uid) continue;
    known.user = static_cast<uid_t>(*status->uid);
    known.executable = executable ? *executable : stat->comm;
    const auto old = before.find(pid);
    const bool same = old != before.end() && old->second.start_time == known.start_time &&
                      old->second.executable == known.executable && old->second.user == known.user;
    if (same) {
      known = old->second;
    } else {
      const auto cgroups = proc_.cgroups(pid);
      for (std::size_t i = 0; i < rules_.size() && !known.rule; ++i)
        if (executable &&
            rules_[i].takes(known.executable, known.user, cgroups ? *cgroups : std::vector<std::string>()))
          known.rule = i;
    }
    const auto ksm = proc_.ksm_stat(pid);
    if (!ksm || !ksm->mergeable)
      if (const auto mappings = proc_.smaps(pid))
        known.registered = std::any_of(mappings->begin(), mappings->end(),
                                       [](const Mapping& mapping) { return mapping.mergeable; });
    known_[pid] = std::move(known);
  }
}

/// What of `counted` is merged now. ksmd takes a page that was written to out of its count when it comes by,
/// which may be hours later while KSM rests; the page tables know at once, and are asked when there were
/// enough faults.
std::uint64_t Sampler::still_merged(pid_t pid, Known& known, std::uint64_t counted, double seconds,
                                    bool bursting) const {
  const auto stat = proc_.stat(pid);
  if (bursting || counted == 0 || !stat || stat->start_time != known.start_time) {
    known.merged.reset();
    known.faults = stat ? stat->minor_faults : 0;
    return counted;
  }
  if (stat->minor_faults - known.faults >= kFaults && seconds - known.asked_at >= kAskPause) {
    known.faults = stat->minor_faults;
    known.asked_at = seconds;
    const auto rollup = proc_.smaps_rollup(pid);
    if (rollup && rollup->ksm) known.merged = *rollup->ksm * 1024;
  }
  return std::min(counted, known.merged.value_or(counted));
}

std::optional<ProcessSeen> Sampler::see(pid_t pid, Known& known, const AdoptedBook& book, double seconds,
                                        bool bursting) const {
  const auto status = proc_.status(pid);
  if (!status || !status->rss_anon) return std::nullopt;
  ProcessSeen seen{.pid = pid,
                   .start_time = known.start_time,
                   .user = known.user,
                   .executable = known.executable,
                   .anonymous = *status->rss_anon * 1024,
                   .rule = known.rule};
  if (const auto ksm = proc_.ksm_stat(pid)) {
    if (ksm->merging_pages)
      seen.merged = still_merged(pid, known, *ksm->merging_pages * page_size(), seconds, bursting);
    seen.registered = ksm->mergeable.value_or(known.registered.value_or(ksm->rmap_items.value_or(0) > 0));
  } else {
    seen.registered = known.registered.value_or(false);
  }
  const AdoptedBook::State state = book.state(pid, known.start_time);
  seen.adopted = state == AdoptedBook::State::adopted;
  seen.refused = state == AdoptedBook::State::refused;
  // What we registered a moment ago does not show in smaps before the next search.
  seen.registered = seen.registered || seen.adopted;
  return seen;
}

}  // namespace samepage

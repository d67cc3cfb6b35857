#include "watchdog/burst_judge.hpp"

#include <unistd.h>

#include <algorithm>

#include "watchdog/decision.hpp"

namespace samepage {
namespace {

constexpr double kAll = 0.005;          // of what was new may be left when a burst ends at once…
constexpr double kNearlyAll = 0.05;     // …and when it ends because no more comes
constexpr double kDryWindow = 0.1;      // seconds of ksmd's CPU without gain
constexpr double kLeastPassCpu = 0.01;  // a pass over next to nothing still counts as that

}  // namespace

std::int64_t saved_bytes(const KsmCounters& counters) {
  const std::uint64_t pages = counters.pages_sharing.value_or(0) + counters.ksm_zero_pages.value_or(0);
  return static_cast<std::int64_t>(pages) * ::sysconf(_SC_PAGESIZE);
}

namespace {

/// Bytes in merged pages. The processes tell it best: the host's counters hold pages of the dead until ksmd
/// comes by.
std::int64_t merged_bytes(const HostSample& sample) {
  std::int64_t sum = 0;
  for (const ProcessSeen& process : sample.processes) {
    if (!process.registered) continue;
    if (!process.merged) return saved_bytes(sample.counters);
    sum += static_cast<std::int64_t>(*process.merged);
  }
  return sum;
}

}  // namespace

BurstJudge::BurstJudge(const PolicyLimits& limits, const HostSample& sample, std::uint64_t fresh,
                       std::uint64_t lost)
    : limits_(limits),
      begin_{sample.seconds, sample.ksmd_cpu.value_or(sample.seconds), merged_bytes(sample)},
      pass_(begin_),
      window_(begin_),
      fresh_(fresh),
      full_scans_(sample.counters.full_scans.value_or(0)),
      thorough_(lost > 0) {}

BurstJudge::Mark BurstJudge::mark(const HostSample& sample) const {
  return {sample.seconds, sample.ksmd_cpu.value_or(sample.seconds), merged_bytes(sample)};
}

std::int64_t BurstJudge::merged(const HostSample& sample) const {
  return mark(sample).merged - begin_.merged;
}

double BurstJudge::cpu(const HostSample& sample) const {
  return std::max(0., mark(sample).cpu - begin_.cpu);
}

std::optional<BurstJudge::End> BurstJudge::next(const HostSample& sample, Tracks& tracks,
                                                double gain_wanted) {
  const Mark now = mark(sample);
  const std::uint64_t scans = sample.counters.full_scans.value_or(0);
  const double changing = static_cast<double>(sample.counters.pages_volatile.value_or(0)) *
                          static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (scans > full_scans_) {
    passes_ += scans - full_scans_;
    auto end = end_of_pass(now, tracks, gain_wanted, changing);
    if (end) return end;
    tracks.end_pass();
    pass_ = now;
  }
  full_scans_ = scans;  // also when it went backwards: that tells of no pass
  if (now.seconds - pass_.seconds >= limits_.patience)
    return End{fmt::format("ksmd completed no pass in {:.0f} s", limits_.patience), false};
  if (auto end = all_merged(tracks, sample.seconds, changing)) return end;
  return run_dry(now, tracks, sample.seconds, gain_wanted);
}

std::optional<BurstJudge::End> BurstJudge::end_of_pass(const Mark& now, const Tracks& tracks,
                                                       double gain_wanted, double changing) {
  const double cpu = std::max(kLeastPassCpu, now.cpu - pass_.cpu);
  const auto gain = static_cast<double>(now.merged - pass_.merged);
  const bool gained = gain >= gain_wanted * cpu;
  if (!gained && passes_ >= 2) idle_pass_cpu_ = cpu;
  // Much that ksmd has seen only once looks like much that changes: one more pass tells.
  const bool unclear = changing >= static_cast<double>(limits_.worth);
  if (gained && unclear) return std::nullopt;
  if (passes_ < judge_from_ + (unclear ? 1 : 0) || tracks.late() >= limits_.worth) return std::nullopt;
  return End{fmt::format("the last pass merged {} for {:.2f} s of CPU", megabytes(std::max(0., gain)), cpu),
             true};
}

std::optional<BurstJudge::End> BurstJudge::all_merged(const Tracks& tracks, double seconds,
                                                      double changing) const {
  // What was written to long ago and changes no more is merged in the same pass.
  if (!fresh_ || changing >= static_cast<double>(limits_.worth)) return std::nullopt;
  if (thorough_ && passes_ + 1 < judge_from_) return std::nullopt;
  const Tracks::Fresh fresh = tracks.fresh(seconds, 0);
  if (static_cast<double>(fresh.all() + fresh.lost) > kAll * static_cast<double>(fresh_)) return std::nullopt;
  return End{fmt::format("all of {} that were new are merged", megabytes(static_cast<double>(fresh_))), true};
}

std::optional<BurstJudge::End> BurstJudge::run_dry(const Mark& now, const Tracks& tracks, double seconds,
                                                   double gain_wanted) {
  const double cpu = now.cpu - window_.cpu;
  if (cpu < kDryWindow) return std::nullopt;
  const bool dry = static_cast<double>(now.merged - window_.merged) < gain_wanted * cpu;
  window_ = now;
  const Tracks::Fresh fresh = tracks.fresh(seconds, 0);
  const auto left = static_cast<double>(fresh.all() + fresh.lost);
  if (!dry || !fresh_ || passes_ + 1 < judge_from_ - 1 || left > kNearlyAll * static_cast<double>(fresh_))
    return std::nullopt;
  return End{
      fmt::format("{} of {} that were new are merged, and no more comes",
                  megabytes(static_cast<double>(fresh_) - left), megabytes(static_cast<double>(fresh_))),
      true};
}

}  // namespace samepage

#include "watchdog/tracks.hpp"

namespace samepage {
namespace {

constexpr double kGrowth = 1.01;  // a rise by less counts as still

void see_size(Track& track, std::uint64_t anonymous, double seconds) {
  if (static_cast<double>(anonymous) > static_cast<double>(track.still_at) * kGrowth) {
    track.still_at = anonymous;
    track.still_since = seconds;
  }
  track.still_at = std::min(track.still_at, anonymous);
}

/// Merged pages that are gone while the process is as large as before were written to.
void see_merged(Track& track, std::uint64_t anonymous, std::uint64_t merged, double seconds) {
  const std::uint64_t dropped = track.merged - std::min(track.merged, merged);
  const std::uint64_t shrunk = track.anonymous - std::min(track.anonymous, anonymous);
  if (dropped > shrunk) {
    track.lost += dropped - shrunk;
    track.lost_at = seconds;
  }
}

}  // namespace

void Tracks::see(const HostSample& sample, bool bursting) {
  std::map<pid_t, Track> now;
  for (const ProcessSeen& process : sample.processes) {
    Track track;
    if (const Track* before = find(process.pid); before && before->start_time == process.start_time) {
      track = *before;
    } else {
      track.start_time = process.start_time;
      track.since = track.still_since = sample.seconds;
    }
    // A kernel that does not tell: all counts as unmerged, and after a burst as unique.
    track.tells = process.merged.has_value();
    const std::uint64_t merged = process.merged.value_or(0);
    see_size(track, process.anonymous, sample.seconds);
    see_merged(track, process.anonymous, merged, sample.seconds);
    track.anonymous = process.anonymous;
    track.merged = merged;
    track.registered = process.registered;
    if (process.adopted && !track.adopted) {
      track.adopted_since = sample.seconds;
      track.bursts = 0;
    }
    track.adopted = process.adopted;
    track.lost = std::min(track.lost, track.unmerged());
    if (!bursting) track.unique = std::min(track.unique, track.unmerged());
    now[process.pid] = track;
  }
  tracks_ = std::move(now);
}

void Tracks::begin_burst() {
  for (auto& [pid, track] : tracks_)
    track.at_pass = track.at_pass_before = track.registered ? track.anonymous : 0;
}

void Tracks::end_pass() {
  for (auto& [pid, track] : tracks_) {
    track.at_pass_before = track.at_pass;
    track.at_pass = track.registered ? track.anonymous : 0;
  }
}

void Tracks::end_burst() {
  for (auto& [pid, track] : tracks_) {
    if (!track.registered) continue;
    const std::uint64_t late = track.anonymous - std::min(track.anonymous, track.at_pass_before);
    track.unique = track.unmerged() - std::min(track.unmerged(), late);
    track.lost = 0;
    if (track.adopted) ++track.bursts;
  }
}

Tracks::Fresh Tracks::fresh(double seconds, double retry) const {
  Fresh sum;
  for (const auto& [pid, track] : tracks_) {
    if (!track.fresh()) continue;
    ++sum.processes;
    (settled(track, seconds) ? sum.settled : sum.growing) += track.grown();
    if (seconds - track.lost_at >= retry) sum.lost += track.fresh() - track.grown();
  }
  return sum;
}

std::uint64_t Tracks::late() const {
  std::uint64_t sum = 0;
  for (const auto& [pid, track] : tracks_)
    if (track.registered)
      sum += std::min(track.fresh(), track.anonymous - std::min(track.anonymous, track.at_pass_before));
  return sum;
}

std::uint64_t Tracks::registered_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [pid, track] : tracks_)
    if (track.registered) sum += track.anonymous;
  return sum;
}

}  // namespace samepage

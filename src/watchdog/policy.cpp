#include "watchdog/policy.hpp"

#include <unistd.h>

#include <algorithm>

namespace samepage {
namespace {

// A pass over memory that is merged: 0.12 s of ksmd for 1 GB, measured on Linux 6.18.
constexpr double kPassCpuPerByte = 0.12e-9;

double pages_to_bytes(const std::optional<std::uint64_t>& pages) {
  return static_cast<double>(pages.value_or(0)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::vector<Decision> WatchdogPolicy::next(const HostSample& sample) {
  out_.clear();
  see_pressure(sample);
  budget_.spend(sample.seconds, sample.ksmd_cpu, bursting(), pressed_);
  tracks_.see(sample, bursting());
  see_hands_off(sample);
  say_surprises(sample);
  adopting_ = false;
  for (Decision& decision : adoption_.next(sample, tracks_)) {
    adopting_ = adopting_ || decision.what == Decision::What::adopt;
    out_.push_back(std::move(decision));
  }
  if (burst_) perhaps_end(sample);
  answer(sample);
  if (!burst_ && !adopting_) perhaps_begin(sample);
  return std::move(out_);
}

void WatchdogPolicy::change(const PolicyLimits& limits, std::vector<RuleLimits> rules) {
  limits_ = limits;
  tracks_.change(limits);
  budget_.change(limits);
  adoption_ = Adoption(limits, std::move(rules));
  retry_wait_ = limits.first_retry;
}

double WatchdogPolicy::look_again_in() const {
  if (burst_) return 0.1;
  if (adopting_) return 0.01;
  return worth_since_ || adoption_.waiting() ? 0.25 : 1;
}

void WatchdogPolicy::see_pressure(const HostSample& sample) {
  const bool short_of =
      sample.memory_total && static_cast<double>(sample.memory_available) <
                                 limits_.short_of * static_cast<double>(sample.memory_total);
  const bool pressed = short_of || sample.pressure.value_or(0) >= limits_.pressure;
  if (pressed != pressed_)
    say(Decision::What::note, pressed ? fmt::format("memory is short ({} available): more CPU for less gain",
                                                    megabytes(static_cast<double>(sample.memory_available)))
                                      : "memory is no longer short");
  pressed_ = pressed;
}

void WatchdogPolicy::see_hands_off(const HostSample& sample) {
  std::string why;
  if (sample.settings.run == "2")
    why = "KSM is switched off for this host (run is 2)";
  else if (sample.ksmtuned)
    why = "ksmtuned is running and sets KSM's pace";
  else if (sample.settings.run == "1" && sample.settings.advisor_mode.value_or("none") != "none")
    why = fmt::format("the kernel's advisor ({}) sets KSM's pace", *sample.settings.advisor_mode);
  if (why == hands_off_) return;
  if (!why.empty() && burst_) {
    end(sample, why, false);
    hold_until_ = sample.seconds + limits_.patience;
  }
  say(Decision::What::note, why.empty() ? "KSM's pace is ours to set again" : why + "; it is left alone");
  hands_off_ = why;
}

void WatchdogPolicy::say_surprises(const HostSample& sample) {
  const auto cap = sample.settings.bounds.max_page_sharing;
  const auto registered =
      static_cast<std::size_t>(std::count_if(sample.processes.begin(), sample.processes.end(),
                                             [](const ProcessSeen& process) { return process.registered; }));
  if (cap && !said_sharing_ && registered > *cap) {
    say(Decision::What::note,
        fmt::format("at most {} mappings share a page (max_page_sharing): {} processes may keep "
                    "several copies",
                    *cap, registered));
    said_sharing_ = true;
  }
  if (sample.nodes > 1 && sample.settings.bounds.merge_across_nodes == 0u && !said_nodes_) {
    say(Decision::What::note,
        fmt::format("merge_across_nodes is 0: each of {} memory nodes keeps a copy of its own",
                    sample.nodes));
    said_nodes_ = true;
  }
}

void WatchdogPolicy::answer(const HostSample& sample) {
  for (const pid_t pid : sample.requests) {
    const Track* track = tracks_.find(pid);
    if (hands_off()) {
      say(Decision::What::decline, hands_off_, pid);
    } else if (!track) {
      say(Decision::What::decline, "no such process, or too small to matter", pid);
    } else if (!track->registered) {
      say(Decision::What::decline, "its memory is not registered with KSM", pid);
    } else if (burst_) {
      burst_->prolong();
      say(Decision::What::accept, "joined", pid);
    } else if (budget_.empty() || sample.seconds < hold_until_) {
      say(Decision::What::decline, "ksmd has used up its CPU budget", pid);
    } else if (sample.seconds - last_end_ < limits_.request_pause && track->fresh() < limits_.worth) {
      say(Decision::What::decline,
          fmt::format("a burst just ended; again in {:.0f} s",
                      limits_.request_pause - (sample.seconds - last_end_)),
          pid);
    } else {
      say(Decision::What::accept, "started", pid);
      begin(sample, fmt::format("asked for by process {}", pid), track->fresh(), false);
    }
  }
}

double WatchdogPolicy::worth() const {
  const double looking =
      std::max(idle_pass_cpu_, kPassCpuPerByte * static_cast<double>(tracks_.registered_bytes()));
  const double least = static_cast<double>(limits_.worth) / (pressed_ ? 4 : 1);
  return std::max(least, 3 * looking * gain_wanted());
}

void WatchdogPolicy::perhaps_begin(const HostSample& sample) {
  const Tracks::Fresh fresh = tracks_.fresh(sample.seconds, retry_wait_);
  const double all = static_cast<double>(fresh.all());
  if (all < worth()) {
    worth_since_.reset();
  } else if (!worth_since_) {
    worth_since_ = sample.seconds;
  }
  if (hands_off() || sample.seconds < hold_until_) return;
  if (budget_.empty() || (starved_ && !budget_.refilled())) {
    starved_ = true;
    return;
  }
  starved_ = false;
  const bool waited = worth_since_ && sample.seconds - *worth_since_ >= limits_.longest_wait;
  if (worth_since_ && (waited || static_cast<double>(fresh.growing) < 0.05 * all)) {
    begin(sample,
          fmt::format("{} processes hold {} that is new{}", fresh.processes, megabytes(all),
                      fresh.growing ? ", and are still growing" : ""),
          fresh.all(), false);
  } else if (static_cast<double>(fresh.lost) >= worth()) {
    begin(sample,
          fmt::format("{} were merged, written to, and have been quiet for {:.0f} s",
                      megabytes(static_cast<double>(fresh.lost)), retry_wait_),
          fresh.lost, true);
  } else if (pages_to_bytes(sample.counters.pages_volatile) < worth()) {
    retry_at_.reset();  // merged meanwhile, or gone
  } else if (retry_at_ && sample.seconds >= *retry_at_) {
    begin(sample,
          fmt::format("{} changed while ksmd looked, {:.0f} s ago",
                      megabytes(pages_to_bytes(sample.counters.pages_volatile)), sample.seconds - last_end_),
          0, true);
  }
}

void WatchdogPolicy::begin(const HostSample& sample, const std::string& reason, std::uint64_t fresh,
                           bool retry) {
  say(Decision::What::burst, reason);
  burst_.emplace(limits_, sample, fresh, tracks_.fresh(sample.seconds, 0).lost);
  burst_is_retry_ = retry;
  worth_since_.reset();
  retry_at_.reset();
  tracks_.begin_burst();
}

void WatchdogPolicy::perhaps_end(const HostSample& sample) {
  if (!sample.bursting) return end(sample, "KSM's settings could not be taken, or were put back", true);
  if (sample.settings.run == "0") {
    hold_until_ = sample.seconds + limits_.patience;
    return end(sample, "somebody else turned KSM off", false);
  }
  if (budget_.empty()) {
    starved_ = true;
    return end(sample, "ksmd has used up its CPU budget", false);
  }
  if (const auto done = burst_->next(sample, tracks_, gain_wanted())) {
    if (!done->exhausted) hold_until_ = sample.seconds + limits_.patience;
    end(sample, done->reason, done->exhausted);
  }
}

/// `looked_at`: what is left is not tried again before it changes.
void WatchdogPolicy::end(const HostSample& sample, const std::string& reason, bool looked_at) {
  const auto gained = static_cast<double>(burst_->merged(sample));
  const double cpu = burst_->cpu(sample);
  say(Decision::What::rest,
      fmt::format("{}; {} merged in all, {:.1f} s of CPU", reason, megabytes(std::max(0., gained)), cpu));
  if (burst_is_retry_ && looked_at) {
    const bool paid = gained >= gain_wanted() * cpu;
    retry_wait_ = paid ? limits_.first_retry : std::min(limits_.longest_retry, 2 * retry_wait_);
  }
  if (looked_at) {
    tracks_.end_burst();
    if (burst_->idle_pass_cpu()) idle_pass_cpu_ = *burst_->idle_pass_cpu();
    if (pages_to_bytes(sample.counters.pages_volatile) >= worth()) retry_at_ = sample.seconds + retry_wait_;
  }
  last_end_ = sample.seconds;
  burst_.reset();
}

void WatchdogPolicy::say(Decision::What what, const std::string& reason, pid_t pid) {
  out_.push_back({.what = what, .reason = reason, .pid = pid});
}

}  // namespace samepage

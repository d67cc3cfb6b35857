#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "watchdog/policy.hpp"

namespace samepage {

/// A host in which ksmd works as the kernel's does, as far as the policy can see: a page merges in the second
/// pass that finds it unchanged, little by little during that pass; run=0 keeps what is merged.
class SimulatedHost {
 public:
  static constexpr std::uint64_t kMB = 1'000'000;
  static constexpr double kStep = 0.05;
  static constexpr double kBytesPerCpuSecond = 1e9;  // how fast ksmd looks

  struct Process {
    std::string executable = "/opt/reco";
    uid_t user = 1000;
    std::uint64_t equal = 0, unique = 0, changing = 0;
    bool registered = false, adopted = false, refused = false;
    std::optional<std::size_t> rule = std::nullopt;
    std::uint64_t seen_once = 0, merging = 0, merged = 0;
    std::uint64_t bytes() const { return equal + unique + changing; }
  };

  HostSample now;  ///< what does not follow from the processes is set by the test
  std::map<pid_t, Process> processes;
  bool tells = true;      ///< /proc/PID/ksm_merging_pages is there
  bool can_burst = true;  ///< the lease can be taken
  bool ksmd_works = true, sees_ksmd = true;
  double ksmd_cpu = 0;
  std::vector<std::string> log;  ///< decisions as text
  double burst_seconds = 0;
  int bursts = 0;

  explicit SimulatedHost(const PolicyLimits& limits = {}, std::vector<RuleLimits> rules = {})
      : policy_(limits, std::move(rules)) {
    now.settings = {
        .run = "0", .advisor_mode = "none", .bounds = {.max_page_sharing = 256, .merge_across_nodes = {}}};
    now.counters.full_scans = 0;
    now.memory_total = now.memory_available = 24'000 * kMB;
  }

  void start(pid_t first, int count, const Process& process) {
    for (int i = 0; i < count; ++i) processes[first + i] = process;
  }
  void run(double seconds) {
    for (const double end = now.seconds + seconds; now.seconds < end;) {
      step();
      if (now.seconds >= next_look_) look();
    }
  }
  /// The policy's answer to a look at this moment.
  std::vector<Decision> look() {
    fill();
    auto decisions = policy_.next(now);
    now.requests.clear();
    for (const Decision& decision : decisions) act(decision);
    next_look_ = now.seconds + policy_.look_again_in();
    return decisions;
  }

  std::uint64_t merged() const {
    std::uint64_t sum = 0;
    for (const auto& [pid, process] : processes) sum += process.merged;
    return sum;
  }
  std::uint64_t equal() const {
    std::uint64_t sum = 0;
    for (const auto& [pid, process] : processes) sum += process.equal;
    return sum;
  }
  bool said(const std::string& part) const {
    return std::any_of(log.begin(), log.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
  WatchdogPolicy& policy() { return policy_; }

 private:
  void step() {
    now.seconds += kStep;
    if (now.bursting) burst_seconds += kStep;
    const bool scanning = ksmd_works && (now.bursting || now.settings.run == "1");
    if (!scanning) return;
    ksmd_cpu += kStep;
    std::uint64_t all = 0;
    for (auto& [pid, process] : processes)
      if (process.registered) all += process.bytes();
    progress_ += kStep * kBytesPerCpuSecond / static_cast<double>(std::max<std::uint64_t>(all, kMB));
    double before = 0;  // ksmd goes from process to process
    for (auto& [pid, process] : processes) {
      if (!process.registered) continue;
      const auto bytes = static_cast<double>(std::max<std::uint64_t>(process.bytes(), 1));
      const double part = (progress_ * static_cast<double>(all) - before) / bytes;
      before += bytes;
      const auto due =
          static_cast<std::uint64_t>(static_cast<double>(process.merging) * std::clamp(part, 0., 1.));
      process.merged = std::min(process.equal, std::max(process.merged, due));
    }
    if (progress_ < 1) return;
    progress_ = 0;
    ++*now.counters.full_scans;
    for (auto& [pid, process] : processes) {
      if (!process.registered) continue;
      process.merging = process.seen_once;
      process.seen_once = process.equal;
    }
  }
  void fill() {
    now.processes.clear();
    now.ksmd_cpu = sees_ksmd ? std::optional(ksmd_cpu) : std::nullopt;
    std::uint64_t changing = 0, saved = 0;
    for (auto& [pid, process] : processes) {
      process.merged = std::min(process.merged, process.equal);
      now.processes.push_back({.pid = pid,
                               .start_time = static_cast<std::uint64_t>(pid),
                               .user = process.user,
                               .executable = process.executable,
                               .anonymous = process.bytes(),
                               .merged = tells ? std::optional(process.merged) : std::nullopt,
                               .registered = process.registered,
                               .rule = process.rule,
                               .adopted = process.adopted,
                               .refused = process.refused});
      if (process.registered) changing += process.changing;
      saved += process.merged * 3 / 4;
    }
    now.counters.pages_volatile = changing / 4096;
    now.counters.pages_sharing = saved / 4096;
  }
  void act(const Decision& decision) {
    log.push_back(text_of(decision));
    if (decision.what == Decision::What::burst) {
      ++bursts;
      now.bursting = can_burst;
    }
    if (decision.what == Decision::What::rest) now.bursting = false;
    if (decision.what == Decision::What::burst && can_burst) {
      found_ = now.settings;
      now.settings.run = "1";
      if (found_.advisor_mode) now.settings.advisor_mode = "none";
    }
    if (decision.what == Decision::What::rest && now.settings.run == "1") {
      now.settings.run = found_.run;
      now.settings.advisor_mode = found_.advisor_mode;
    }
    const auto process = processes.find(decision.pid);
    if (process == processes.end()) return;
    if (decision.what == Decision::What::adopt) process->second.registered = process->second.adopted = true;
    if (decision.what == Decision::What::release) {
      process->second.registered = process->second.adopted = false;
      process->second.refused = true;
      process->second.merged = process->second.merging = process->second.seen_once = 0;
    }
  }

  WatchdogPolicy policy_;
  KsmSettingsSeen found_;  ///< before the burst
  double next_look_ = 0, progress_ = 0;
};

}  // namespace samepage

#include "watchdog/adoption.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace samepage {
namespace {

using GroupKey = std::pair<std::string, uid_t>;

struct Group {
  std::vector<const ProcessSeen*> candidates;  ///< that a rule takes and nobody has registered
  std::size_t members = 0;
  std::uint64_t bytes = 0;
};

std::map<GroupKey, Group> groups_of(const HostSample& sample, const std::vector<RuleLimits>& rules) {
  std::map<GroupKey, Group> groups;
  for (const ProcessSeen& process : sample.processes) {
    Group& group = groups[{process.executable, process.user}];
    ++group.members;
    group.bytes += process.anonymous;
    const bool may = process.rule && *process.rule < rules.size() && !process.registered &&
                     !process.adopted && !process.refused && process.anonymous >= rules[*process.rule].least;
    if (may) group.candidates.push_back(&process);
  }
  return groups;
}

/// What has been adopted: by rule, and for which users.
struct Adopted {
  explicit Adopted(const HostSample& sample, const std::vector<RuleLimits>& rules)
      : processes(rules.size()), memory(rules.size()) {
    for (const ProcessSeen& process : sample.processes)
      if (process.adopted) add(process, rules);
  }
  void add(const ProcessSeen& process, const std::vector<RuleLimits>& rules) {
    const bool known = process.rule && *process.rule < rules.size();
    if (known) {
      ++processes[*process.rule];
      memory[*process.rule] += process.anonymous;
    }
    bool& across = users.try_emplace(process.user, true).first->second;
    across = across && known && rules[*process.rule].across_users;
  }
  /// Another user, one of whose processes must not be merged with those of `user`.
  std::optional<uid_t> in_the_way(uid_t user, const RuleLimits& rule) const {
    for (const auto& [other, across] : users)
      if (other != user && !(across && rule.across_users)) return other;
    return std::nullopt;
  }

  std::vector<std::size_t> processes;
  std::vector<std::uint64_t> memory;
  std::map<uid_t, bool> users;  ///< whether all of a user's adopted processes may meet others'
};

}  // namespace

std::vector<Decision> Adoption::next(const HostSample& sample, const Tracks& tracks) {
  std::vector<Decision> decisions;
  release_what_never_pays(sample, tracks, decisions);
  adopt_groups(sample, tracks, decisions);
  return decisions;
}

void Adoption::release_what_never_pays(const HostSample& sample, const Tracks& tracks,
                                       std::vector<Decision>& out) {
  for (const ProcessSeen& process : sample.processes) {
    const Track* track = tracks.find(process.pid);
    if (!process.adopted || !track || !track->tells || track->bursts < limits_.bursts_to_pay) continue;
    if (sample.seconds - track->adopted_since < limits_.time_to_pay) continue;
    if (static_cast<double>(track->merged) >= limits_.pays * static_cast<double>(track->anonymous)) continue;
    out.push_back({.what = Decision::What::release,
                   .reason = fmt::format("{} of {} merged after {} bursts",
                                         megabytes(static_cast<double>(track->merged)),
                                         megabytes(static_cast<double>(track->anonymous)), track->bursts),
                   .pid = process.pid,
                   .start_time = process.start_time});
  }
}

void Adoption::adopt_groups(const HostSample& sample, const Tracks& tracks, std::vector<Decision>& out) {
  waiting_ = false;
  Adopted adopted(sample, rules_);
  const auto groups = groups_of(sample, rules_);
  std::vector<std::pair<const GroupKey*, const Group*>> order;
  for (const auto& [key, group] : groups)
    if (!group.candidates.empty()) order.emplace_back(&key, &group);
  std::stable_sort(order.begin(), order.end(),
                   [](auto& a, auto& b) { return a.second->bytes > b.second->bytes; });
  for (const auto& [key, group] : order)
    for (const ProcessSeen* process : group->candidates) {
      const std::size_t index = *process->rule;
      const RuleLimits& rule = rules_[index];
      if (group->members < rule.copies) continue;
      if (const auto other = adopted.in_the_way(process->user, rule)) {
        note_once(fmt::format("{} of user {} is not adopted: processes of user {} are, and KSM merges across "
                              "users; rules that say across_users = true allow it",
                              key->first, process->user, *other),
                  out);
        continue;
      }
      const bool full =
          adopted.processes[index] >= rule.most_processes ||
          process->anonymous > rule.most_memory - std::min(rule.most_memory, adopted.memory[index]);
      if (full) {
        note_once(fmt::format("rule {}: its limit is reached, further processes are not adopted", rule.name),
                  out);
        continue;
      }
      const Track* track = tracks.find(process->pid);
      if (!track ||
          (!tracks.settled(*track, sample.seconds) && sample.seconds - track->since < limits_.longest_wait)) {
        waiting_ = true;
        continue;
      }
      adopted.add(*process, rules_);
      out.push_back({.what = Decision::What::adopt,
                     .reason = fmt::format("rule {}: one of {} × {} with {}", rule.name, group->members,
                                           key->first, megabytes(static_cast<double>(process->anonymous))),
                     .pid = process->pid,
                     .start_time = process->start_time,
                     .rule = index});
    }
}

void Adoption::note_once(const std::string& line, std::vector<Decision>& out) {
  if (noted_.insert(line).second) out.push_back({.what = Decision::What::note, .reason = line});
}

}  // namespace samepage

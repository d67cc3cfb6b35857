#include "group/process_tree.hpp"

#include <charconv>
#include <string_view>

namespace samepage {
namespace {

constexpr std::string_view kRank = "SAMEPAGE_RANK=";

std::optional<unsigned> rank_in(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    unsigned rank = 0;
    if (entry.starts_with(kRank) &&
        std::from_chars(entry.data() + kRank.size(), entry.data() + entry.size(), rank).ec == std::errc{})
      return rank;
  }
  return std::nullopt;
}

}  // namespace

void ProcessTree::add_copy(unsigned copy, pid_t pid) {
  if (const auto stat = proc_.stat(pid)) known_[pid] = {copy, stat->start_time};
}

std::optional<unsigned> ProcessTree::copy_of(const ProcStat& stat, const std::map<pid_t, ProcStat>& alive) {
  const auto known = known_.find(stat.pid);
  if (known != known_.end() && known->second.start_time == stat.start_time) return known->second.copy;
  std::optional<unsigned> copy;
  if (stat.pid == left_out_) return std::nullopt;
  if (stat.ppid == launcher_) {
    if (const auto environment = proc_.environ(stat.pid)) copy = rank_in(*environment);
  } else if (const auto parent = alive.find(stat.ppid); parent != alive.end() && stat.ppid != stat.pid) {
    copy = copy_of(parent->second, alive);
  }
  if (copy) known_[stat.pid] = {*copy, stat.start_time};
  return copy;
}

std::vector<ProcessTree::Member> ProcessTree::members() {
  std::map<pid_t, ProcStat> alive;
  for (const pid_t pid : proc_.pids())
    if (auto stat = proc_.stat(pid)) alive.emplace(pid, *std::move(stat.value));
  std::erase_if(known_, [&](const auto& entry) { return !alive.contains(entry.first); });
  std::vector<Member> members;
  for (const auto& [pid, stat] : alive)
    if (const auto copy = copy_of(stat, alive); copy && stat.state != 'Z') members.push_back({*copy, stat});
  return members;
}

std::vector<ProcessId> ProcessTree::known() const {
  std::vector<ProcessId> processes;
  for (const auto& [pid, known] : known_) processes.push_back({pid, known.start_time});
  return processes;
}

}  // namespace samepage

#include "group/live_accounts.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace samepage {
namespace {

constexpr double kRefresh = 5;        // seconds after which a process that did nothing is looked into again
constexpr double kChangedWeight = 8;  // how much sooner one that did something is
constexpr double kMostCredit = 2;     // seconds' share that may be saved up
constexpr double kLeastForLooks =
    0.1;  // of the share, where there are so many processes that counting them takes it
constexpr std::size_t kRareLooks = 16;  // samples after which a kernel thread's PID is looked at again

double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void append(std::vector<std::uint64_t>& history, std::uint64_t value) {
  if (history.size() == LiveAccounts::kHistory) history.erase(history.begin());
  history.push_back(value);
}

}  // namespace

std::string common_name(const std::string& name) {
  const auto end = name.find_first_of(":/ [(");
  return end == 0 ? name : name.substr(0, end);
}

LiveAccounts::LiveAccounts(const ProcFs& proc, Meant meant, double share)
    : LiveAccounts(
          proc, std::move(meant), share, [] { return seconds(CLOCK_MONOTONIC); },
          [] { return seconds(CLOCK_THREAD_CPUTIME_ID); }) {}

LiveAccounts::LiveAccounts(const ProcFs& proc, Meant meant, double share, Clock now, Clock cpu)
    : proc_(proc), meant_(std::move(meant)), share_(share), now_(std::move(now)), cpu_(std::move(cpu)) {}

LiveAccounts::GroupKey LiveAccounts::group_of(const LiveProcess& process) {
  return {common_name(process.name) + '\0' + process.program, process.uid};
}

void LiveAccounts::identify(LiveProcess& process, const ProcStat& stat) {
  const auto status = proc_.status(stat.pid);
  process.pid = stat.pid;
  process.ppid = stat.ppid;
  process.start_time = stat.start_time;
  process.uid = status ? static_cast<uid_t>(status->uid.value_or(0)) : 0;
  process.user = users_.of(process.uid);
  process.name = stat.comm;
  const auto program = proc_.executable(stat.pid);
  process.program = program ? *program : stat.comm;
  process.words = proc_.cmdline(stat.pid).value.value_or(std::vector<std::string>{});
  process.cgroups = proc_.cgroups(stat.pid).value.value_or(std::vector<std::string>{});
}

/// Who is there, and who did something since.
void LiveAccounts::take_stock() {
  std::set<pid_t> present;
  std::set<GroupKey> changed_groups;
  const auto forget = [&](pid_t pid) {
    if (const auto look = looks_.find(pid); look != looks_.end()) {
      if (look->second.meant) changed_groups.insert(group_of(table_[pid]));
      looks_.erase(look);
    }
    table_.erase(pid);
  };
  for (const pid_t pid : proc_.pids()) {
    if (pid == getpid()) continue;
    present.insert(pid);
    const auto known = looks_.find(pid);
    if (known != looks_.end() && known->second.without_memory && samples_ % kRareLooks) continue;
    const auto stat = proc_.stat(pid);
    if (!stat || stat->state == 'Z' || stat->state == 'X') {
      forget(pid);
      continue;
    }
    if (known != looks_.end() && known->second.stat.start_time != stat->start_time) forget(pid);
    if (stat->memory_size == 0) {  // a kernel thread, or about to be a zombie
      forget(pid);
      looks_[pid] = {*stat, true};
      continue;
    }
    Look& look = looks_[pid];
    const ProcStat& before = look.stat;
    // An exec moves the stack.
    if (!look.asked || before.comm != stat->comm || before.start_stack != stat->start_stack ||
        before.start_code != stat->start_code) {
      if (look.meant) changed_groups.insert(group_of(table_[pid]));
      identify(table_[pid], *stat);
      look.asked = false;
      look.changed = true;
    }
    look.changed |= before.minor_faults != stat->minor_faults || before.rss_pages != stat->rss_pages;
    look.stat = *stat;
    look.without_memory = false;
  }
  std::vector<pid_t> gone;
  for (const auto& [pid, look] : looks_)
    if (!present.contains(pid)) gone.push_back(pid);
  for (const pid_t pid : gone) forget(pid);

  for (auto& [pid, look] : looks_) {
    if (look.asked || look.without_memory) continue;
    look.asked = true;
    look.meant = meant_(table_[pid], table_);
    if (look.meant) changed_groups.insert(group_of(table_[pid]));
  }
  for (auto& [pid, look] : looks_)
    if (look.meant && changed_groups.contains(group_of(table_[pid]))) look.changed = true;
}

void LiveAccounts::measure(double now) {
  struct Due {
    double urgency;
    pid_t pid;
  };
  std::vector<Due> due;
  for (const auto& [pid, look] : looks_) {
    if (!look.meant) continue;
    const double age = now - table_[pid].seen;
    if (look.changed || age >= kRefresh) due.push_back({age * (look.changed ? kChangedWeight : 1), pid});
  }
  std::sort(due.begin(), due.end(), [](const Due& a, const Due& b) {
    return a.urgency != b.urgency ? a.urgency > b.urgency : a.pid < b.pid;
  });
  double spent = 0;
  for (const Due& next : due) {
    if (samples_ > 0 && spent >= credit_) break;
    const double before = cpu_();
    const auto share = process_share(proc_, next.pid);
    spent += cpu_() - before;
    Look& look = looks_[next.pid];
    LiveProcess& process = table_[next.pid];
    process.seen = now;
    look.changed = false;
    look.measured = share.has_value();
    if (share) process.share = *share;
  }
  if (samples_ > 0) credit_ -= spent;
}

LiveSample LiveAccounts::summed() {
  LiveSample sample;
  sample.time = seconds(CLOCK_REALTIME);
  std::map<GroupKey, LiveGroup> groups;
  for (auto& [pid, process] : table_) {
    const Look& look = looks_[pid];
    if (!look.meant || !look.measured) continue;
    append(process.private_kb, process.share.private_kb);
    LiveGroup& group = groups[group_of(process)];
    group.name = common_name(process.name);
    group.program = process.program;
    group.user = process.user;
    group.processes.push_back(&process);
    group.together_kb += process.share.together_kb();
    group.alone_kb += process.share.alone_kb();
    group.now_private_kb += process.share.private_kb;
    ++sample.processes;
    sample.hidden += process.share.hidden;
  }
  std::erase_if(histories_, [&](const auto& entry) { return !groups.contains(entry.first); });
  for (auto& [key, group] : groups) {
    append(histories_[key], group.now_private_kb);
    group.private_kb = histories_[key];
    sample.groups.push_back(std::move(group));
  }
  return sample;
}

LiveSample LiveAccounts::sample() {
  const double now = now_(), cpu = cpu_();
  take_stock();
  if (samples_ > 0) {
    const double earned = share_ * (now - last_);
    credit_ += std::max(earned - (cpu_() - cpu), kLeastForLooks * earned);
    credit_ = std::min(credit_, share_ * kMostCredit);
  }
  last_ = now;
  measure(now);
  LiveSample sample = summed();
  ++samples_;
  return sample;
}

}  // namespace samepage

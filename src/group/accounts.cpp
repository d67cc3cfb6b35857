#include "group/accounts.hpp"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "group/process_share.hpp"

namespace samepage {
namespace {

constexpr double kGrowth = 1.01;            // settled: less than this in a second
constexpr double kNearLargest = 0.8;        // of the largest Σ RSS: event memory comes and goes
constexpr double kShareOfProcessor = 0.02;  // what measuring may cost
constexpr std::size_t kLongestName = 15;    // TASK_COMM_LEN

double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::uint64_t page_kb() {
  static const auto size = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
  return size;
}

}  // namespace

bool CountedSample::offer(const GroupTotals& totals) {
  if (best_ && totals.copies < best_->copies) return false;
  if (!best_ || totals.copies > best_->copies) largest_ = 0;
  largest_ = std::max(largest_, totals.alone_kb);
  if (static_cast<double>(totals.alone_kb) < kNearLargest * static_cast<double>(largest_)) return false;
  best_ = totals;
  return true;
}

void Accounts::add_copy(unsigned copy, pid_t pid, const std::string& name,
                        const std::vector<std::string>& command) {
  copies_[copy] = pid;
  tree_.add_copy(copy, pid);
  if (const auto stat = proc_.stat(pid)) {
    ProcessRow& row = rows_[{pid, stat->start_time}];
    row.copy = copy;
    row.pid = pid;
    row.ppid = stat->ppid;
    row.name = name.substr(0, kLongestName);
    row.command = joined(command);
    latest_[pid] = {pid, stat->start_time};
  }
}

void Accounts::set_template(pid_t pid) {
  template_ = pid;
  if (const auto stat = proc_.stat(pid)) layout_ = Layout{stat->start_code, stat->start_stack};
}

bool Accounts::settled_now(double now, std::uint64_t rss, std::uint64_t anonymous, std::size_t processes) {
  last_second_.push_back({now, rss, anonymous, processes});
  while (last_second_.size() > 2 && last_second_[1].time <= now - 1) last_second_.pop_front();
  const Point& before = last_second_.front();
  // What was shared and is written leaves the RSS as it is: at a program's end that may be all it has.
  const double most = (kGrowth - 1) * static_cast<double>(before.rss);
  return before.time <= now - 1 && static_cast<double>(rss) < static_cast<double>(before.rss) + most &&
         static_cast<double>(anonymous) < static_cast<double>(before.anonymous) + most &&
         std::all_of(last_second_.begin(), last_second_.end(),
                     [&](const Point& point) { return point.processes == processes; });
}

GroupGlance Accounts::look() {
  const double now = seconds(CLOCK_MONOTONIC);
  GroupGlance glance{now, 0, std::nullopt};
  const auto members = tree_.members();
  std::uint64_t rss = 0;
  for (const auto& [copy, stat] : members) {
    ProcessRow& row = rows_[{stat.pid, stat.start_time}];
    latest_[stat.pid] = {stat.pid, stat.start_time};
    row.copy = copy;
    row.pid = stat.pid;
    row.ppid = stat.ppid;
    const auto head = copies_.find(copy);
    const bool is_copy = head != copies_.end() && head->second == stat.pid;
    // Without a stack the kernel does not say: it is about to end, or not ours to look into.
    if (is_copy && layout_ && stat.start_stack)
      row.own_layout = *layout_ != Layout{stat.start_code, stat.start_stack};
    if (const auto line = proc_.cmdline(stat.pid); line && (row.command.empty() || row.name != stat.comm))
      row.command = joined(*line);
    row.name = stat.comm;
    if (const auto status = proc_.status(stat.pid)) {
      if (status->vm_hwm) row.peak_rss_kb = std::max(row.peak_rss_kb.value_or(0), *status->vm_hwm);
      rss += status->vm_rss.value_or(0);
      glance.anonymous_kb += status->rss_anon.value_or(0);
    }
    if (const auto ksm = proc_.ksm_stat(stat.pid); ksm && ksm->merging_pages)
      glance.merged_kb = glance.merged_kb.value_or(0) + *ksm->merging_pages * page_kb();
  }
  if (members.empty()) return glance;
  const bool settled = settled_now(now, rss, glance.anonymous_kb, members.size());
  if (now >= next_measurement_ || (settled && !settled_.totals())) {
    const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    measure(members, settled);
    next_measurement_ = now + (seconds(CLOCK_THREAD_CPUTIME_ID) - before) / kShareOfProcessor;
  }
  return glance;
}

void Accounts::measure(const std::vector<ProcessTree::Member>& members, bool settled) {
  GroupTotals totals;
  totals.time = seconds(CLOCK_REALTIME);
  totals.settled = settled;
  std::optional<std::uint64_t> shmem_kb = 0;
  const auto add_shmem = [&shmem_kb](const ProcessShare& share) {
    shmem_kb = shmem_kb && share.shmem_pss ? std::optional(*shmem_kb + *share.shmem_pss) : std::nullopt;
  };
  std::map<Key, ProcessRow> rows;
  for (const auto& [copy, stat] : members) {
    const Key key{stat.pid, stat.start_time};
    ProcessRow& row = rows_[key];
    const auto share = process_share(proc_, stat.pid, LibraryData::counted);
    if (!share) continue;  // it has just ended
    if (!share->hidden) {
      row.private_kb = share->private_kb;
      row.library_data_kb = share->library_data_kb;
      row.shared_kb = share->shared_kb;
      row.shared_data_kb = share->shared_data_kb;
      row.pss_kb = share->pss;
      row.ksm_kb = share->ksm;
    }
    totals.private_kb += share->private_kb;
    totals.shared_kb += share->shared_kb;
    totals.shared_data_kb += share->shared_data_kb;
    totals.together_kb += share->together_kb();
    add_shmem(*share);
    totals.alone_kb += share->alone_kb();
    ++totals.processes;
    if (const auto head = copies_.find(copy); head != copies_.end() && head->second == stat.pid)
      ++totals.copies;
    rows[key] = row;
  }
  if (totals.processes == 0) return;
  if (template_)
    if (const auto share = process_share(proc_, template_)) {
      totals.together_kb += share->together_kb();
      add_shmem(*share);
    }
  if (store_kb_ && shmem_kb) {
    const std::uint64_t held = store_kb_();
    totals.together_kb += held - std::min(held, *shmem_kb);
  }
  samples_.push_back(totals);
  if (settled && settled_.offer(totals)) settled_rows_ = rows;
  if (growing_.offer(totals)) growing_rows_ = std::move(rows);
}

void Accounts::ended(pid_t pid, int status, const rusage& usage) {
  const auto latest = latest_.find(pid);
  if (latest == latest_.end()) return;
  ProcessRow& row = rows_[latest->second];
  latest_.erase(latest);
  if (WIFSIGNALED(status))
    row.signal = WTERMSIG(status);
  else
    row.exit_code = WEXITSTATUS(status);
  if (!row.peak_rss_kb) row.peak_rss_kb = static_cast<std::uint64_t>(usage.ru_maxrss);
}

std::optional<GroupTotals> Accounts::counted() const {
  return settled_.totals() ? settled_.totals() : growing_.totals();
}

std::vector<ProcessRow> Accounts::rows() const {
  const auto& counted = settled_.totals() ? settled_rows_ : growing_rows_;
  std::vector<ProcessRow> result;
  for (const auto& [key, row] : rows_) {
    result.push_back(row);
    const auto found = counted.find(key);
    if (found == counted.end()) continue;
    ProcessRow& last = result.back();
    last.counted = true;
    last.private_kb = found->second.private_kb;
    last.library_data_kb = found->second.library_data_kb;
    last.shared_kb = found->second.shared_kb;
    last.shared_data_kb = found->second.shared_data_kb;
    last.pss_kb = found->second.pss_kb;
    last.ksm_kb = found->second.ksm_kb;
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const ProcessRow& left, const ProcessRow& right) { return left.copy < right.copy; });
  return result;
}

}  // namespace samepage

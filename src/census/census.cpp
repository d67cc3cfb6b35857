#include <algorithm>
#include <chrono>
#include <optional>
#include <samepage/census.hpp>
#include <stdexcept>
#include <thread>

#include "census/alike.hpp"
#include "census/equal.hpp"
#include "census/parallel.hpp"
#include "census/sums.hpp"
#include "census/worth.hpp"

namespace samepage {
namespace {

using Clock = std::chrono::steady_clock;

/// Positions of pages are 32 bits wide.
constexpr std::size_t kMostPages = 0xffffffff;

constexpr const char* kNotThere = "ended, or started another program, while it was looked at";

std::vector<std::size_t> capacities(const std::vector<std::optional<Subject>>& subjects,
                                    const Sample& sample) {
  std::vector<std::size_t> pages;
  std::size_t sum = 0;
  for (const auto& subject : subjects) {
    pages.push_back(subject->room(sample));
    sum += pages.back();
  }
  if (sum > kMostPages) throw std::invalid_argument("too much memory for one look: take a sample");
  return pages;
}

void sleep_unless_cancelled(Clock::time_point until, const Look& look) {
  while (Clock::now() < until && !look.cancelled())
    std::this_thread::sleep_until(std::min(until, Clock::now() + std::chrono::milliseconds(20)));
}

std::string named(const CensusProcess& process) {
  return process.name.empty() ? "process " + std::to_string(process.pid)
                              : "process " + std::to_string(process.pid) + " (" + process.name + ")";
}

}  // namespace

Census take_census(const std::vector<pid_t>& pids, const CensusOptions& options) {
  if (!(options.sample > 0 && options.sample <= 1))
    throw std::invalid_argument("the sample must be in (0, 1]");
  if (!(options.pause >= 0)) throw std::invalid_argument("the pause must not be negative");
  const auto start = Clock::now();
  Census census;
  census.sampled = options.sample;
  const Sample sample(options.sample);
  const KernelPages kernel;
  const unsigned threads =
      options.threads ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::optional<Subject>> all(pids.size());
  census.processes.resize(pids.size());
  in_parallel(threads, pids.size(), [&](unsigned, std::size_t at) {
    census.processes[at].pid = pids[at];
    all[at].emplace(pids[at], census.processes[at]);
  });
  PageList list(capacities(all, sample));
  in_parallel(threads, pids.size(), [&](unsigned, std::size_t at) {
    if (all[at]->ready()) all[at]->list_pages(sample, kernel, list.part(at), census.processes[at]);
  });
  std::vector<Subject> subjects;
  std::vector<std::size_t> told_at;  // of each subject the position in census.processes
  for (std::size_t at = 0; at < all.size(); ++at) {
    if (!all[at]->ready()) continue;
    if (!all[at]->still_there()) {
      census.processes[at] = {};
      census.processes[at].pid = pids[at];
      census.processes[at].trouble = kNotThere;
      continue;
    }
    list.append(at, static_cast<std::uint32_t>(subjects.size()));
    census.zero_mapped += all[at]->zero_pages() * kPageSize;
    subjects.push_back(std::move(*all[at]));
    told_at.push_back(at);
  }

  Look look(list, subjects, threads, options.cancelled);
  find_followers(list, threads);
  read_contents(list, look);
  const auto read_once = Clock::now();
  const Contents contents = find_equal(list, threads);
  census.contents = contents.distinct;
  if (contents.most_pages) {
    census.seen_most.pages = contents.most_pages;
    census.seen_most.pid = census.processes[told_at[list.run_of(contents.most_position).process]].pid;
    census.seen_most.address = list.address_of(contents.most_position);
  }
  sleep_unless_cancelled(
      read_once + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.pause)),
      look);
  look_again(list, look, subjects);
  judge_equal(list, subjects, threads);
  Alike alike(list, look, subjects);
  alike.judge();
  census.few_bytes = alike.few_bytes();

  for (std::size_t i = 0; i < subjects.size(); ++i)
    if (!subjects[i].still_there()) census.processes[told_at[i]].trouble = kNotThere;
  sum_up(list, subjects, told_at, census);
  find_worth(list, subjects, told_at, census);
  find_words(census, static_cast<std::size_t>(
                         std::count_if(subjects.begin(), subjects.end(),
                                       [](const Subject& subject) { return !subject.has_heap(); })));
  for (const CensusProcess& process : census.processes)
    if (!process.trouble.empty()) census.troubles.push_back(named(process) + ": " + process.trouble);
  if (look.cancelled()) census.troubles.push_back("stopped before everything was looked at");
  census.bytes_read = look.bytes_read();
  census.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return census;
}

}  // namespace samepage

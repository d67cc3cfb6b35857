#include "job.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

#include "jets.hpp"
#include "workers.hpp"

namespace reco {

namespace {

/// Each process that handles events says how fast it was, and which crate it read most.
void report(std::size_t events, double seconds, const Conditions& conditions) {
  const auto& crates = conditions.crates();
  const auto busiest = std::max_element(crates.begin(), crates.end(), [](const auto& a, const auto& b) {
    return a.second->readouts() < b.second->readouts();
  });
  std::printf("reco: %zu events in %.2f s, %.2f events/s after initialisation\n", events, seconds,
              static_cast<double>(events) / seconds);
  std::printf("reco: busiest crate %s, read out %llu times\n", busiest->first.c_str(),
              static_cast<unsigned long long>(busiest->second->readouts()));
  std::fflush(stdout);
}

/// All events of the slice, in this process.
Result process(const Job& job, Intervals& intervals) {
  const auto start = std::chrono::steady_clock::now();
  EventFile events(job.events, job.times, job.slice);
  prepare_jets();

  std::vector<Result> parts(job.threads, intervals.head());
  std::vector<std::exception_ptr> failures(job.threads);
  const auto process_part = [&](int part) {
    try {
      while (const auto event = events.next())
        intervals.at(event->number)->reconstruction.process(*event, parts[part]);
    } catch (...) {
      failures[part] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int part = 1; part < job.threads; ++part) threads.emplace_back(process_part, part);
    process_part(0);
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  const Result result = merge(parts);
  report(result.events.size(),
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
         *intervals.present()->conditions);
  std::this_thread::sleep_until(job.stay_until);
  return result;
}

/// The share of fork `index`: every job.forks'th event of the slice.
Job share(const Job& job, int index) {
  Job result = job;
  result.slice = {job.slice.index + index * job.slice.count, job.slice.count * job.forks};
  result.forks = 1;
  return result;
}

}  // namespace

Result run(const Job& job, Intervals& intervals) {
  if (job.forks == 1) return process(job, intervals);
  const auto work = [&](int index) { return to_text(process(share(job, index), intervals)); };
  std::vector<Result> parts;
  for (const std::string& text : run_workers(job.forks, work))
    parts.push_back(from_text(text, "a worker's answer"));
  return merge(parts);
}

}  // namespace reco

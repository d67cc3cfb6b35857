// A process (forked worker, or the only one) that processes events with one or several threads.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "barrier.hpp"
#include "conditions.hpp"

namespace samepage {

struct WorkerOptions {
  std::uint32_t allocations = 20'000;  // per event, divided among its threads
  std::uint32_t threads = 1;           // that live as long as the worker, its own among them
  std::uint32_t fresh_threads = 0;     // started for each event, joined at its end
  std::uint32_t replaced = 0;          // constants freed and allocated anew before each event
};

/// Owns the worker's threads. Made after fork; process() is called by the thread that made it.
class Worker {
 public:
  Worker(Conditions& conditions, const WorkerOptions& options, std::uint64_t seed);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void process();

 private:
  void process_share(std::uint32_t share);

  Conditions& conditions_;
  const WorkerOptions options_;
  std::vector<Random> randoms_;  // one per share of an event
  Barrier begin_;
  Barrier end_;
  bool stop_ = false;  // read by the threads after begin_, which orders it
  std::atomic<double> result_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace samepage

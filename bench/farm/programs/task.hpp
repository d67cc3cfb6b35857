#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

/// The same work for every way: events are copied from one buffer, workers read all their bytes, and answer
/// each with a few bytes that are counted. Every event carries the time at which it was sent.
namespace bench {

struct Settings {
  std::size_t bytes = 1024;
  std::uint64_t events = 100'000;
  unsigned workers = 2;
  unsigned pause_us = 0;  // between events: workers fall asleep, and the time until one wakes is measured
};

Settings settings(int argc, char** argv);

std::uint64_t now_ns();

/// Fills an event: the time, its number, then bytes of the buffer.
void make_event(std::uint64_t number, std::span<std::byte> event);

struct Answer {
  std::uint64_t number;
  std::uint64_t sum;
  std::uint64_t began_ns;
  std::uint32_t gap_ns;   // since the worker's event before; 0 for its first
  std::uint32_t wait_ns;  // since the event was sent
};

/// In a worker, once per event.
Answer answer(std::span<const std::byte> event);

/// Where answers are counted.
class Counter {
 public:
  explicit Counter(const Settings& settings);
  void start();
  void take(const Answer& answer);
  std::uint64_t taken() const { return taken_; }
  /// Prints all as JSON; children must have been waited for, their CPU time counts.
  void report();

 private:
  Settings settings_;
  std::uint64_t began_ = 0, first_event_ = ~std::uint64_t{0}, ended_ = 0, taken_ = 0, sum_ = 0, numbers_ = 0;
  std::vector<std::uint32_t> gaps_, waits_;
};

/// Forks the workers; each runs work(index) and ends.
void fork_workers(unsigned count, const std::function<void(unsigned)>& work);
void wait_for_workers();

void pause(const Settings& settings);

}  // namespace bench

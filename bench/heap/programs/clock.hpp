// Clocks of the benchmarks, in nanoseconds.
#pragma once
#include <cstdint>
#include <ctime>

namespace samepage {

inline std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

inline std::int64_t wall_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}
/// CPU time of all threads of this process.
inline std::int64_t cpu_ns() {
  return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

}  // namespace samepage

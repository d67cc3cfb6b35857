#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "event_file.hpp"
#include "intervals.hpp"
#include "result.hpp"

namespace reco {

struct Job {
  std::string events;  // path of a HepMC3 file
  int times = 1;       // how often it is read
  Slice slice;
  int forks = 1;    // more than 1: processes forked from this one, each with its share of the slice
  int threads = 1;  // per process
  std::chrono::steady_clock::time_point stay_until = {};  // nobody who processes events ends earlier
};

/// Processes the job's events: the same result, whoever does it. Throws UsageError, or std::runtime_error if
/// a worker is lost.
Result run(const Job& job, Intervals& intervals);

}  // namespace reco

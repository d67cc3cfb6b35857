#pragma once

#include <cstdint>
#include <string>

#include "intervals.hpp"
#include "job.hpp"

namespace reco {

struct FarmOptions {
  unsigned workers = 0;
  std::string journal, quarantine, memory;  // paths, or empty
  bool resume = false, pin = false;
  std::uint64_t warm_up = 0;
  unsigned retries = 2;
};

/// The job on Samepage's farm; the result goes to `out`, the same bytes that run() gives. Returns the exit
/// status: 0, or 3 if events are in quarantine. Throws UsageError, or std::runtime_error if the job failed.
int run_on_farm(const Job& job, Intervals& intervals, const FarmOptions& options, const std::string& out);

}  // namespace reco

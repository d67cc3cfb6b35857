#pragma once

#include <cstdint>
#include <string>

namespace reco {

struct InventedConditions {
  int granularity;     // of the calorimeter
  std::uint64_t seed;  // the same seed gives the same constants
};

/// The granularity at which a job that loaded the conditions takes about `megabytes` (10^6 bytes).
int granularity_for(double megabytes);

/// Writes a conditions database with invented constants for runs 1 … 1000. `path` must not exist.
void invent_conditions(const std::string& path, const InventedConditions& request);

}  // namespace reco

// The tactical work of the churn benchmark.
#pragma once
#include <cstdint>

#include "conditions.hpp"
#include "random.hpp"

namespace samepage {

/// Makes `allocations` short-lived blocks of 16 bytes to 64 kB, mostly small (490 bytes on average), which
/// all live until the event's end, as in an experiment's event store, and looks one constant up for each.
/// Threads may share `conditions`. Returns a sum of what was read, so that nothing is optimised away.
double process_event(const Conditions& conditions, std::uint32_t allocations, Random& random);

}  // namespace samepage

// The tactical work of the churn benchmark.
#pragma once
#include <cstdint>

#include "conditions.hpp"
#include "random.hpp"

namespace samepage {

/// Makes `allocations` short-lived blocks (at most an eighth of them alive at once, none afterwards), of 16
/// bytes to 64 kB, mostly small, and looks one constant up for each. Threads may share `conditions`. Returns
/// a sum of what was read, so that nothing is optimised away.
double process_event(const Conditions& conditions, std::uint32_t allocations, Random& random);

}  // namespace samepage

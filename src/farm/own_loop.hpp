#pragma once

#include "farm/work.hpp"

namespace samepage::farm {

/// A worker's life when Job::own_loop brings it its events: sees to it that between_events() knows its place.
[[noreturn]] void run_own_loop(const Job& job, const SharedState& shared, const Lanes& lanes,
                               const Placement& placement, pid_t supervisor, const Seat& seat);

}  // namespace samepage::farm

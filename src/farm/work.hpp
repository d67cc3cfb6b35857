#pragma once

#include <sys/types.h>

#include <array>

#include "farm/lane.hpp"
#include "farm/placement.hpp"
#include "farm/shared_state.hpp"
#include "farm/template.hpp"

namespace samepage::farm {

/// Two are enough: the template, and the one that takes over from it.
using Lanes = std::array<Lane, 2>;

/// The life of a worker's process from its fork on: worker, perhaps template, and in the template's children
/// workers again. Exits with 0 when it leaves in order, kEventFailed after an exception.
[[noreturn]] void work(const Job& job, const SharedState& shared, const Lanes& lanes,
                       const Placement& placement, pid_t supervisor, Seat seat);

/// Whether a worker told to promote may serve. If not, the supervisor has heard so, and it goes on working.
bool fit_as_template(const Job& job, const Lane& lane, Desk& desk, unsigned index);

inline constexpr int kEventFailed = 90;  // the desk has the exception's text

}  // namespace samepage::farm

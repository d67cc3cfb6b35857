#pragma once

#include <sys/types.h>

#include "farm/lane.hpp"

namespace samepage::farm {

/// The place that a new worker takes.
struct Seat {
  unsigned desk;
  unsigned generation;
  bool warming_up;  // it is alone, and offers itself as template when it is warm
};

/// Makes the calling process, a worker between events, the template on `lane`: it forks when the supervisor
/// says so, and tells which of its children ended. Returns in each child, which goes on as a worker; the
/// template itself ends here. Children end with their template, the template with its parent.
Seat serve_as_template(const Lane& lane, pid_t supervisor);

}  // namespace samepage::farm

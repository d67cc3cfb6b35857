#pragma once

#include <sched.h>

#include <vector>

namespace samepage::farm {

/// Which core each worker has to itself: spread over NUMA nodes and caches as hwloc distributes them.
class Placement {
 public:
  /// Nobody is placed.
  Placement() = default;
  /// For so many workers. Throws JobError if hwloc cannot tell.
  explicit Placement(unsigned workers);

  /// Binds the calling process to the worker's place, if it has one.
  void take_place(unsigned worker) const;

 private:
  std::vector<cpu_set_t> places_;
};

}  // namespace samepage::farm

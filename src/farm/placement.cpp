#include "farm/placement.hpp"

#include <hwloc.h>
#include <hwloc/glibc-sched.h>

#include <memory>

#include "samepage/farm.hpp"

namespace samepage::farm {

Placement::Placement(unsigned workers) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) < 0)
    throw JobError("hwloc cannot describe this machine: run without pinning");
  const std::unique_ptr<hwloc_topology, void (*)(hwloc_topology_t)> topology(raw, hwloc_topology_destroy);
  if (hwloc_topology_load(raw) < 0) throw JobError("hwloc cannot describe this machine: run without pinning");
  std::vector<hwloc_cpuset_t> sets(workers);
  hwloc_obj_t root = hwloc_get_root_obj(raw);
  hwloc_distrib(raw, &root, 1, sets.data(), workers, HWLOC_OBJ_PU, 0);
  for (hwloc_cpuset_t set : sets) {
    cpu_set_t place;
    hwloc_bitmap_singlify(set);
    hwloc_cpuset_to_glibc_sched_affinity(raw, set, &place, sizeof place);
    hwloc_bitmap_free(set);
    places_.push_back(place);
  }
}

void Placement::take_place(unsigned worker) const {
  if (worker < places_.size()) sched_setaffinity(0, sizeof places_[worker], &places_[worker]);
}

}  // namespace samepage::farm

#include "farm/memory.hpp"

#include <unistd.h>

#include "linux/proc_fs.hpp"

namespace samepage::farm {

MemorySample measure_memory(unsigned worker, std::uint64_t event, bool end, unsigned generation) {
  MemorySample sample{worker, event, end, 0, 0, 0, generation};
  if (const auto rollup = ProcFs().smaps_rollup(getpid())) {
    sample.private_kb = rollup->private_clean + rollup->private_dirty;
    sample.shared_kb = rollup->shared_clean + rollup->shared_dirty;
    sample.pss_kb = rollup->pss;
  }
  return sample;
}

}  // namespace samepage::farm

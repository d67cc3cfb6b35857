#pragma once

#include "samepage/farm.hpp"

namespace samepage::farm {

/// The calling process's memory now; `event` and `end` are for the table. Zeros if the kernel does not tell.
MemorySample measure_memory(unsigned worker, std::uint64_t event, bool end, unsigned generation);

}  // namespace samepage::farm

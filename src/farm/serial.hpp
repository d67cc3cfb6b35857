#pragma once

#include <optional>

#include "farm/journal.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

/// The job in the calling process: the same blocks, the same bytes, no other process.
Report run_serially(const Job& job, const std::optional<Journal>& journal, const Committed& committed,
                    bool resumed);

}  // namespace samepage::farm

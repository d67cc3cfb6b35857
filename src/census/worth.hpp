#pragma once

#include <samepage/census.hpp>

#include "census/page_list.hpp"
#include "census/subject.hpp"

namespace samepage {

/// Tells of each process what would be worth registering with KSM: CensusProcess::worth.
void find_worth(const PageList& list, const std::vector<Subject>& subjects,
                const std::vector<std::size_t>& told_at, Census& census);

}  // namespace samepage

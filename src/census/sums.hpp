#pragma once

#include <samepage/census.hpp>

#include "census/page_list.hpp"
#include "census/subject.hpp"

namespace samepage {

/// Adds the pages up: per process, per mapping and in total, with the sample's error.
void sum_up(const PageList& list, const std::vector<Subject>& subjects,
            const std::vector<std::size_t>& told_at, Census& census);

/// What should be done about each class of which there is excess, and the answer in words. `without_heap`:
/// how many of the processes do not run on samepage's heap.
void find_words(Census& census, std::size_t without_heap);

}  // namespace samepage

/// The store from C++. See samepage.h for threads, costs, and what happens without the heap.
#pragma once

#include <samepage/samepage.h>

namespace samepage {

/// Constants are allocated in the store from here on: sealing then copies nothing. For a process that will
/// fork workers, before it allocates much; see samepage.h for what it must not do. False: they are not.
inline bool allocate_in_store() noexcept {
  return samepage_allocate_in_store() == SAMEPAGE_OK;
}

/// Shares this process's constants with its relatives, now. False if anything was left as it was.
inline bool seal() noexcept {
  return samepage_seal() == SAMEPAGE_OK;
}

/// Gives back constants that were written and hold their old bytes again. False if anything stood against it.
inline bool reshare() noexcept {
  return samepage_reshare() == SAMEPAGE_OK;
}

/// Turns the store off in this process. False if its constants could not be made private again.
inline bool unseal() noexcept {
  return samepage_unseal() == SAMEPAGE_OK;
}

using StoreStatistics = samepage_store_stats;

/// All zero without the heap.
inline StoreStatistics store_statistics() noexcept {
  StoreStatistics statistics{};
  samepage_store_statistics(&statistics);
  return statistics;
}

}  // namespace samepage

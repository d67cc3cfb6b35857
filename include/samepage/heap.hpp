/// The heap from C++. See samepage.h for threads, and for what happens without the heap.
#pragma once

#include <samepage/samepage.h>

namespace samepage {

/// Initialisation is over. False without the heap, or if it was over already.
inline bool settle() noexcept {
  return samepage_settle() == SAMEPAGE_OK;
}

/// What the thread allocates during the life of this object is long-lived: conditions, geometry, tables.
class ConstantScope {
 public:
  ConstantScope() noexcept { samepage_constant_begin(); }
  ~ConstantScope() { samepage_scope_end(); }
  ConstantScope(const ConstantScope&) = delete;
  ConstantScope& operator=(const ConstantScope&) = delete;
};

/// What the thread allocates during the life of this object is of one event, or temporary.
class TacticalScope {
 public:
  TacticalScope() noexcept { samepage_tactical_begin(); }
  ~TacticalScope() { samepage_scope_end(); }
  TacticalScope(const TacticalScope&) = delete;
  TacticalScope& operator=(const TacticalScope&) = delete;
};

}  // namespace samepage

// Settle, under whichever allocator this process happens to run.
#pragma once
#include <dlfcn.h>

namespace samepage {

/// Tells Samepage's heap, if it is the one preloaded, that initialisation is over; nothing under other
/// allocators.
inline void settle_if_samepage() {
  if (void* symbol = dlsym(RTLD_DEFAULT, "samepage_settle")) reinterpret_cast<int (*)()>(symbol)();
}

}  // namespace samepage

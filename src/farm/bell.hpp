#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "linux/futex.hpp"

namespace samepage::farm {

/// One process sleeps on a bell, any may ring it. Lies in shared memory; zero bytes are a bell.
///
/// A ring is never lost: the sleeper says that it sleeps before it looks a last time, the ringer changes what
/// is looked for before it asks whether someone sleeps; both are sequentially consistent. Nothing is held, so
/// a process killed at any instruction leaves at worst a flag behind that costs a needless wake-up.
class alignas(64) Bell {
 public:
  /// Sleeps until `ready()` or a ring or the time is over; says whether `ready()`.
  template <typename Ready>
  bool wait(Ready ready, std::optional<std::chrono::nanoseconds> at_most = std::nullopt) {
    const std::uint32_t heard = rings_.load(std::memory_order_acquire);
    sleeping_.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!ready()) futex_wait(rings_, heard, at_most);
    sleeping_.store(0, std::memory_order_relaxed);
    return ready();
  }

  bool someone_sleeps() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return sleeping_.load(std::memory_order_relaxed) != 0;
  }

  void ring() {
    if (someone_sleeps()) ring_anyway();
  }
  /// For a sleeper that may be about to sleep, or not be what the flag says.
  void ring_anyway() {
    rings_.fetch_add(1, std::memory_order_release);
    futex_wake(rings_);
  }

 private:
  std::atomic<std::uint32_t> rings_;
  std::atomic<std::uint32_t> sleeping_;
};

}  // namespace samepage::farm

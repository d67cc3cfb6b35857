#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace samepage {

/// Sleeps while `word` holds `expected`, between processes too if it lies in shared memory. Returns early for
/// signals, and without a cause now and then: the caller checks again (futex(2)).
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<std::chrono::nanoseconds> at_most = std::nullopt);
/// Wakes one sleeper, if there is one.
void futex_wake(std::atomic<std::uint32_t>& word);

}  // namespace samepage

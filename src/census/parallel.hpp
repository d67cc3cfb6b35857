#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace samepage {

/// Calls work(thread, i) for every i below `count`, on `threads` threads, each i once, in about ascending
/// order. The first exception ends the rest and is thrown on.
template <typename Work>
void in_parallel(unsigned threads, std::size_t count, Work work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr thrown;
  std::once_flag first;
  const auto run = [&](unsigned thread) {
    try {
      for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) work(thread, i);
    } catch (...) {
      std::call_once(first, [&] { thrown = std::current_exception(); });
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (unsigned thread = 1; thread < threads && thread < count; ++thread) others.emplace_back(run, thread);
    run(0);
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace samepage

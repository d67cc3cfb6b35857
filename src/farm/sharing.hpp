#pragma once

#include <chrono>
#include <string>

namespace samepage::farm {

/// What heap and store can do for this process, found at run time: a program need not link or preload them.
class Sharing {
 public:
  Sharing();

  /// Before the first fork: what was allocated so far is constant, and goes to the store. Returns one line
  /// that says what is shared, or what is lost without the heap.
  std::string seal() const;
  /// For a worker between events: gives back pages whose bytes are the store's again, if no more than
  /// `budget`, a part of all time, goes into it.
  void reshare(double budget);

 private:
  int (*seal_)();
  int (*reshare_)();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::chrono::nanoseconds last_took_{0};
};

}  // namespace samepage::farm

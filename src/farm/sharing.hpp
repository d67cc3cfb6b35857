#pragma once

#include <chrono>
#include <cstddef>
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
  /// `budget`, a part of all time, goes into it and the faults that follow.
  void reshare(double budget);

 private:
  static std::size_t pages_given_back();

  int (*seal_)();
  int (*reshare_)();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::chrono::duration<double> owed_{0};  // for the last pass and the faults that it causes
};

}  // namespace samepage::farm

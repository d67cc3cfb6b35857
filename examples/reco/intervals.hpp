#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conditions.hpp"
#include "reconstruction.hpp"

namespace reco {

/// From this event on the conditions of this run hold.
struct Change {
  std::int64_t event;
  int run;
};

/// The conditions that hold for each event, loaded when the first event needs them; those of the first
/// interval at once. Thread-safe.
class Intervals {
 public:
  /// Changes in the order of events.
  Intervals(std::string database, int run, std::vector<Change> changes);

  struct Interval {
    explicit Interval(std::unique_ptr<const Conditions> its)
        : conditions(std::move(its)), reconstruction(*conditions) {}
    const std::unique_ptr<const Conditions> conditions;
    const Reconstruction reconstruction;
  };

  /// Throws UsageError if the database has none.
  std::shared_ptr<const Interval> at(std::int64_t event);
  std::shared_ptr<const Interval> present();

  /// What a result begins with: it is that of the first interval.
  const Result& head() const { return head_; }
  const std::vector<Change>& changes() const { return changes_; }

  /// Called when others than the first were loaded.
  std::function<void()> on_load;
  /// Old conditions are kept. For forked processes, which share them: to destroy them writes to every
  /// reference count, and so copies each page.
  bool keep_old = false;

 private:
  const std::string database_;
  const std::vector<Change> changes_;  // the first interval's is the first
  std::mutex mutex_;
  std::size_t index_ = 0;
  std::shared_ptr<const Interval> present_;
  std::vector<std::shared_ptr<const Interval>> old_;
  Result head_;
};

}  // namespace reco

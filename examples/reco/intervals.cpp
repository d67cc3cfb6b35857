#include "intervals.hpp"

#include <utility>

namespace reco {

namespace {

std::vector<Change> with_first(int run, std::vector<Change> changes) {
  changes.insert(changes.begin(), {0, run});
  return changes;
}

}  // namespace

Intervals::Intervals(std::string database, int run, std::vector<Change> changes)
    : database_(std::move(database)),
      changes_(with_first(run, std::move(changes))),
      present_(std::make_shared<const Interval>(load_conditions(database_, run))) {
  head_.run = run;
  head_.conditions = present_->conditions->digest().combined();
}

std::shared_ptr<const Intervals::Interval> Intervals::at(std::int64_t event) {
  const std::lock_guard lock(mutex_);
  std::size_t index = 0;
  while (index + 1 < changes_.size() && changes_[index + 1].event <= event) ++index;
  if (index != index_) {
    // Before the others are loaded, so that there is room for them; threads that still need them have a
    // share.
    if (keep_old) old_.push_back(present_);
    present_.reset();
    present_ = std::make_shared<const Interval>(load_conditions(database_, changes_[index].run));
    index_ = index;
    if (on_load) on_load();
  }
  return present_;
}

std::shared_ptr<const Intervals::Interval> Intervals::present() {
  const std::lock_guard lock(mutex_);
  return present_;
}

}  // namespace reco

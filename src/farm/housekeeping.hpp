#pragma once

#include <cstdint>

#include "farm/shared_state.hpp"
#include "farm/sharing.hpp"
#include "farm/template.hpp"

namespace samepage::farm {

/// What a worker does beside its events, whoever brings them: counts, takes memory samples, offers itself as
/// template, gives pages back. One at a time in a process.
class Housekeeping {
 public:
  Housekeeping(const Job& job, const SharedState& shared, const Seat& seat);

  void event_done();
  /// Between events, when the worker could leave: hands on an offer, re-shares within the budget.
  void pause();
  void sample(bool end);

 private:
  void look_at_growth();

  const Options& options_;
  const SharedState& shared_;
  const Seat seat_;
  Desk& desk_;
  Sharing sharing_;
  std::uint64_t events_ = 0;                   // of this process
  std::uint64_t look_at_ = 4, looked_kb_ = 0;  // see look_at_growth()
};

}  // namespace samepage::farm

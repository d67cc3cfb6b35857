#pragma once

#include <optional>
#include <vector>

#include "farm/committer.hpp"
#include "farm/shared_state.hpp"

namespace samepage::farm {

/// The writer's work: takes the workers' records, commits them, and says what is done.
class Writer {
 public:
  Writer(const SharedState& shared, Committer& committer);

  /// Returns when all blocks are committed and the output is finished (true), or when it was told to stop or
  /// the reader failed, and what was there is committed (false).
  bool run();

 private:
  bool collect();
  void acknowledge_deaths();
  void tell();
  bool all_received() const;

  const SharedState& shared_;
  Committer& committer_;
  Dispatch dispatch_;
  std::vector<RecordReader> rings_;
};

}  // namespace samepage::farm

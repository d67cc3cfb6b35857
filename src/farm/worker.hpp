#pragma once

#include <cstdint>

#include "farm/block_record.hpp"
#include "farm/housekeeping.hpp"
#include "farm/shared_state.hpp"
#include "farm/template.hpp"

namespace samepage::farm {

/// The worker's work: claims blocks, processes their events, hands over what comes of them. All that it
/// changes for others is at its desk, in its ring, and one word of a slot.
class Worker {
 public:
  Worker(const Job& job, const SharedState& shared, const Seat& seat);

  enum class End { done, retired, promoted };
  /// Returns between blocks, when all is done or it is told to leave. An exception of Job::process leaves
  /// through it; its text is at the desk then.
  End run();
  void sample_end() { housekeeping_.sample(true); }

 private:
  void process(std::uint64_t number);
  void process_event(const EventHeader& header, std::span<const std::byte> bytes);
  void hand_over(std::uint64_t number);
  void ring_writer_now_and_then();

  const Job& job_;
  const SharedState& shared_;
  const unsigned index_;
  Desk& desk_;
  Dispatch dispatch_;
  ByteRing ring_;
  Housekeeping housekeeping_;
  Output output_;
  BlockRecord record_;
  std::uint64_t rang_ns_ = 0;
};

}  // namespace samepage::farm

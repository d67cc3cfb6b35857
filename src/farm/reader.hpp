#pragma once

#include <optional>
#include <vector>

#include "farm/block_limits.hpp"
#include "farm/event_arena.hpp"
#include "farm/journal.hpp"
#include "farm/shared_state.hpp"

namespace samepage::farm {

/// Events of the source that a resumed job has done already.
class DoneEvents {
 public:
  DoneEvents() = default;
  explicit DoneEvents(const Committed& committed);
  bool contains(std::uint64_t index) const;
  std::uint64_t count() const;

 private:
  std::uint64_t events_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ahead_;  // first, end; rising
};

/// The reader's work: brings the source's events into shared memory, block by block, for as long as there is
/// room.
class Reader final : private EventBuffer {
 public:
  Reader(const Job& job, const SharedState& shared, DoneEvents done);

  /// Returns after the last event, or when the source throws: all that came before has been published then,
  /// and the error is in the shared state.
  void run();

 private:
  std::span<std::byte> allocate(std::size_t size) override;
  void set_number(std::uint64_t number) override { number_ = number; }

  void deliver_all();
  void publish();
  void wait_for_room();
  void recycle();
  void wake_worker();
  std::uint64_t mean_event_ns();

  const Job& job_;
  const SharedState& shared_;
  const DoneEvents done_;
  const BlockLimits limits_;
  Dispatch dispatch_;
  EventArena arena_;
  std::deque<std::uint32_t> published_events_;  // of each block that was not recycled
  Dispatch::Block block_{};                     // being filled
  std::size_t block_bytes_ = 0;
  EventHeader* last_ = nullptr;
  std::uint64_t index_ = 0;         // of the event to come
  std::uint64_t number_ = 0;        // likewise
  std::vector<std::byte> dropped_;  // events that are skipped go here
  std::uint64_t mean_ns_ = 0, mean_at_block_ = 0;
};

}  // namespace samepage::farm

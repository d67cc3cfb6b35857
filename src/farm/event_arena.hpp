#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace samepage::farm {

/// How events lie in shared memory: this, then the bytes.
struct alignas(16) EventHeader {
  std::uint64_t number;
  std::uint64_t bytes;
  std::uint64_t next;      // offset of the next event's header, in a block
  std::uint32_t attempts;  // workers lost with it; written by the supervisor while no worker has the block
  std::uint32_t verdict;   // 0, or 1 + index of the reason why it goes to quarantine; likewise
};

/// Gives out room for events in the order in which it is freed. The reader's own; only offsets are shared.
/// As much memory is touched as is needed: `usual_bytes`, or so many as `large_events` events of the present
/// size take, but never more than `bytes`.
class EventArena {
 public:
  EventArena(std::size_t bytes, std::size_t usual_bytes, std::size_t large_events)
      : bytes_(bytes), usual_(usual_bytes), large_events_(large_events) {}

  /// Offset of a header with `bytes` behind it; nothing until more is freed.
  std::optional<std::uint64_t> allocate(std::size_t bytes);
  /// The oldest that is left.
  void free_oldest() { live_.pop_front(); }
  bool empty() const { return live_.empty(); }

 private:
  struct Extent {
    std::uint64_t begin, end;
  };
  std::size_t bytes_, usual_, large_events_;
  std::deque<Extent> live_;
};

}  // namespace samepage::farm

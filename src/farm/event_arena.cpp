#include "farm/event_arena.hpp"

#include <algorithm>

namespace samepage::farm {

std::optional<std::uint64_t> EventArena::allocate(std::size_t bytes) {
  constexpr std::size_t kAlign = alignof(EventHeader);
  const std::size_t size = (sizeof(EventHeader) + bytes + kAlign - 1) / kAlign * kAlign;
  const std::size_t limit = std::min(bytes_, std::max(usual_, size * large_events_));
  const auto take = [&](std::uint64_t begin) {
    live_.push_back({begin, begin + size});
    return begin;
  };
  if (size > limit) return std::nullopt;
  if (live_.empty()) return take(0);
  const std::uint64_t oldest = live_.front().begin, end = live_.back().end;
  const bool wrapped = live_.back().begin < oldest;
  if (wrapped) return end + size <= oldest ? std::optional(take(end)) : std::nullopt;
  if (end + size <= limit) return take(end);
  return size <= oldest ? std::optional(take(0)) : std::nullopt;
}

}  // namespace samepage::farm

#pragma once

#include <cstddef>
#include <cstdint>

#include "samepage/farm.hpp"

namespace samepage::farm {

/// When a block of events is full. Where results are merged the blocks decide the order of additions, so they
/// may depend on the events alone; where nothing is merged, short events travel together as it suits.
class BlockLimits {
 public:
  explicit BlockLimits(const Options& options)
      : fixed_(options.events_per_block), most_bytes_(options.in_flight_bytes / 4) {}
  BlockLimits(const Options& options, bool merges) : BlockLimits(options) {
    if (merges && fixed_ == 0) fixed_ = 1;
  }

  bool is_fixed() const { return fixed_ != 0; }
  unsigned most_events() const { return fixed_ ? fixed_ : kMostTogether; }
  /// Whether the next event, of `bytes`, must begin a new block.
  bool full_before(std::uint32_t events, std::size_t block_bytes, std::size_t bytes) const {
    return events > 0 && block_bytes + bytes > most_bytes();
  }
  /// Whether a block is full that holds so much; `mean_event_ns`: what an event takes, 0 if unknown.
  bool full(std::uint32_t events, std::size_t block_bytes, std::uint64_t mean_event_ns) const {
    if (fixed_) return events >= fixed_;
    return mean_event_ns == 0 || events >= kMostTogether || events * mean_event_ns >= kBlockNs ||
           block_bytes >= kTogetherBytes;
  }

 private:
  static constexpr unsigned kMostTogether = 128;
  static constexpr std::uint64_t kBlockNs = 50'000;
  static constexpr std::size_t kTogetherBytes = std::size_t{128} << 10;

  std::size_t most_bytes() const { return most_bytes_; }

  unsigned fixed_;
  std::size_t most_bytes_;
};

}  // namespace samepage::farm

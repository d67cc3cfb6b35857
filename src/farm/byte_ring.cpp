#include "farm/byte_ring.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace samepage::farm {

std::size_t ByteRing::write(std::span<const std::byte> source) {
  const std::uint64_t written = counters_->written.load(std::memory_order_relaxed);
  const std::size_t room =
      bytes_.size() - static_cast<std::size_t>(written - counters_->read.load(std::memory_order_acquire));
  const std::size_t count = std::min(room, source.size());
  const std::size_t at = written % bytes_.size(), first = std::min(count, bytes_.size() - at);
  if (first) std::memcpy(bytes_.data() + at, source.data(), first);
  if (count > first) std::memcpy(bytes_.data(), source.data() + first, count - first);
  counters_->written.store(written + count, std::memory_order_release);
  return count;
}

std::size_t ByteRing::read(std::span<std::byte> target) {
  const std::uint64_t taken = counters_->read.load(std::memory_order_relaxed);
  const std::size_t there =
      static_cast<std::size_t>(counters_->written.load(std::memory_order_acquire) - taken);
  const std::size_t count = std::min(there, target.size());
  const std::size_t at = taken % bytes_.size(), first = std::min(count, bytes_.size() - at);
  if (first) std::memcpy(target.data(), bytes_.data() + at, first);
  if (count > first) std::memcpy(target.data() + first, bytes_.data(), count - first);
  counters_->read.store(taken + count, std::memory_order_release);
  return count;
}

bool RecordReader::next(Record& record) {
  if (have_ < sizeof header_) {
    const auto bytes = std::as_writable_bytes(std::span(&header_, 1)).subspan(have_);
    const std::size_t got = ring_.read(bytes);
    if (got) took_ = true;
    have_ += got;
    if (have_ < sizeof header_) return false;
    body_.resize(header_.bytes);
  }
  const std::size_t done = have_ - sizeof header_;
  const std::size_t got = ring_.read(std::span(body_).subspan(done));
  if (got) took_ = true;
  have_ += got;
  if (have_ < sizeof header_ + body_.size()) return false;
  have_ = 0;
  record = {header_.block, body_};
  return true;
}

void RecordReader::start_afresh() {
  ring_.reset();
  have_ = 0;
}

}  // namespace samepage::farm

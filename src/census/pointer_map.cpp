#include "census/pointer_map.hpp"

#include <algorithm>
#include <cstring>

#include "census/fingerprint.hpp"

namespace samepage {
namespace {

constexpr std::size_t kWords = kPageSize / sizeof(std::uint64_t);
constexpr std::uint64_t kTagMask = 0xffff800000000000;  // above every address of a process

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx2", "default")))
#endif
bool any_in(const std::uint64_t* words, std::uint64_t low, std::uint64_t low_size, std::uint64_t high,
            std::uint64_t high_size) {
  std::uint64_t any = 0;
  for (std::size_t i = 0; i < kWords; ++i)
    any |= static_cast<std::uint64_t>((words[i] - low < low_size) | (words[i] - high < high_size));
  return any != 0;
}

}  // namespace

PointerMap::PointerMap(std::span<const Mapping> mappings) {
  for (const Mapping& mapping : mappings) {
    if (mapping.end <= mapping.start || mapping.end > ~kTagMask) continue;
    Target target{mapping.start, mapping.end, 0, 0, Base::moving};
    if (mapping.inode != 0 || mapping.name == "[heap]") {
      target.kind = Base::start;
      target.base = mapping.start - mapping.offset;
    } else if (mapping.name == "[stack]") {
      target.kind = Base::end;
      target.base = mapping.end;
    }
    target.tag = (fingerprint(mapping.name.data(), mapping.name.size()) & kTagMask) | 1ULL << 63;
    targets_.push_back(target);
    starts_.push_back(target.start);
    if (mapping.inode != 0 || !mapping.name.empty())
      layout_ = (layout_ ^ target.start ^ target.tag) * 0x9e3779b97f4a7c15;
  }
  if (targets_.empty()) return;
  std::size_t split = 0;  // the last target below the widest gap
  std::uint64_t widest = 0;
  for (std::size_t i = 0; i + 1 < targets_.size(); ++i)
    if (targets_[i + 1].start - targets_[i].end > widest && targets_[i + 1].start >= targets_[i].end) {
      widest = targets_[i + 1].start - targets_[i].end;
      split = i;
    }
  low_start_ = targets_.front().start;
  low_size_ = targets_[split].end - low_start_;
  high_start_ = split + 1 < targets_.size() ? targets_[split + 1].start : low_start_;
  high_size_ = targets_.back().end - high_start_;
}

std::size_t PointerMap::target_of(std::uint64_t word) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), word);
  if (after == starts_.begin()) return targets_.size();
  const auto found = static_cast<std::size_t>(after - starts_.begin()) - 1;
  return word < targets_[found].end ? found : targets_.size();
}

std::size_t PointerMap::candidates(const PageWords& page, std::uint16_t* positions) const {
  // Most words are no pointers: they are passed over eight at a time.
  constexpr std::size_t kAtOnce = 8;
  std::size_t count = 0;
  for (std::size_t at = 0; at < kWords; at += kAtOnce) {
    unsigned any = 0;
    for (std::size_t i = at; i < at + kAtOnce; ++i)
      any |= static_cast<unsigned>((page[i] - low_start_ < low_size_) | (page[i] - high_start_ < high_size_));
    if (!any) continue;
    for (std::size_t i = at; i < at + kAtOnce; ++i) {
      positions[count] = static_cast<std::uint16_t>(i);
      count +=
          static_cast<std::size_t>((page[i] - low_start_ < low_size_) | (page[i] - high_start_ < high_size_));
    }
  }
  return count;
}

bool PointerMap::may_point(const PageWords& page) const {
  return any_in(page, low_start_, low_size_, high_start_, high_size_);
}

std::size_t PointerMap::without_layout(const PageWords& page, PageWords& out, PageWords* bare) const {
  std::uint16_t positions[kWords + 1];
  const std::size_t count = candidates(page, positions);
  std::memcpy(out, page, kPageSize);
  if (bare) std::memcpy(*bare, page, kPageSize);
  std::size_t pointers = 0, found = targets_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t word = page[positions[i]];
    if (found == targets_.size() || word < targets_[found].start || word >= targets_[found].end)
      found = target_of(word);
    if (found == targets_.size()) continue;
    const Target& target = targets_[found];
    std::uint64_t offset = 0;
    if (target.kind == Base::start) offset = word - target.base;
    if (target.kind == Base::end) offset = target.base - word;
    if (target.kind == Base::moving) offset = word % kPageSize;
    out[positions[i]] = target.tag ^ offset;
    if (bare) (*bare)[positions[i]] = 0;
    ++pointers;
  }
  return pointers;
}

}  // namespace samepage

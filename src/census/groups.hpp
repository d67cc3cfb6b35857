#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "census/parallel.hpp"

namespace samepage {

inline constexpr std::size_t kMostParts = 255;
inline constexpr std::uint8_t kNoPart = kMostParts;
using PartSizes = std::array<std::size_t, kMostParts + 1>;

/// Calls visit(thread, members) for each set of two or more eligible positions whose keys are equal; members
/// ascend. Sets come on several threads at once, but no position is in two of them; all are asked whether
/// they are eligible before the first set comes. Instead of sorting everything, which would take 16 bytes per
/// key, it notes for each key one of up to 255 parts of the keys' range, one byte, and sorts part by part, in
/// the processor's cache. Sets whose keys differ in the low `block_bits` alone come one after the other on
/// one thread, by key.
template <typename Eligible, typename Visit>
void for_each_group(std::span<const std::uint64_t> keys, unsigned threads, Eligible eligible, Visit visit,
                    int block_bits = 0) {
  constexpr std::size_t kAtOnce = 1 << 14, kChunk = 1 << 16;
  const std::size_t parts =
      std::clamp<std::size_t>(keys.size() / kAtOnce, std::min<std::size_t>(threads, kMostParts), kMostParts);
  const auto part_of = std::make_unique_for_overwrite<std::uint8_t[]>(keys.size());
  PartSizes sizes{};
  std::mutex lock;
  in_parallel(threads, (keys.size() + kChunk - 1) / kChunk, [&](unsigned, std::size_t chunk) {
    PartSizes found{};
    const std::size_t end = std::min(keys.size(), (chunk + 1) * kChunk);
    for (std::size_t i = chunk * kChunk; i < end; ++i) {
      // Keys such as frame numbers are not spread evenly; their product with an odd number is.
      const auto spread = static_cast<std::uint32_t>((keys[i] >> block_bits) * 0x9e3779b97f4a7c15 >> 32);
      part_of[i] = eligible(i) ? static_cast<std::uint8_t>((spread * parts) >> 32) : kNoPart;
      ++found[part_of[i]];
    }
    const std::lock_guard guard(lock);
    for (std::size_t part = 0; part < parts; ++part) sizes[part] += found[part];
  });
  struct Entry {
    std::uint64_t key;
    std::uint32_t position;
    bool operator<(const Entry& other) const {
      return key != other.key ? key < other.key : position < other.position;
    }
  };
  in_parallel(threads, parts, [&](unsigned thread, std::size_t part) {
    std::vector<Entry> entries;
    entries.reserve(sizes[part]);
    const std::uint8_t *const begin = part_of.get(), *const end = begin + keys.size();
    for (const std::uint8_t* at = begin; entries.size() < sizes[part]; ++at) {
      at = static_cast<const std::uint8_t*>(
          std::memchr(at, static_cast<int>(part), static_cast<std::size_t>(end - at)));
      entries.push_back({keys[static_cast<std::size_t>(at - begin)], static_cast<std::uint32_t>(at - begin)});
    }
    // Most keys are often alone, and need no sorting: those whose place in a small table nobody else has.
    const int shift = 62 - static_cast<int>(std::bit_width(entries.size()));
    std::vector<std::uint8_t> seen(std::size_t{1} << (64 - shift));
    const auto place = [&](const Entry& entry) { return entry.key * 0xd6e8feb86659fd93 >> shift; };
    for (const Entry& entry : entries) {
      std::uint8_t& count = seen[place(entry)];
      if (count < 2) ++count;
    }
    std::erase_if(entries, [&](const Entry& entry) { return seen[place(entry)] < 2; });
    std::sort(entries.begin(), entries.end());
    std::vector<std::uint32_t> members;
    for (std::size_t i = 0; i < entries.size();) {
      members.clear();
      const std::uint64_t key = entries[i].key;
      for (; i < entries.size() && entries[i].key == key; ++i) members.push_back(entries[i].position);
      if (members.size() > 1) visit(thread, std::span<const std::uint32_t>(members));
    }
  });
}

}  // namespace samepage

#include "census/likeness.hpp"

#include <cstring>

#include "census/fingerprint.hpp"

// Compiled for several kinds of vectors; the first that the processor has is taken.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SAMEPAGE_VECTORISED __attribute__((target_clones("avx2", "default")))
#else
#define SAMEPAGE_VECTORISED
#endif

namespace samepage {
namespace {

// Places two bytes apart stand side by side in a vector: those of one phase. A stretch of them is looked
// through at once.
constexpr std::size_t kPhases = 2, kStretches = 3,
                      kPlaces = (kPageSize - kAnchorBytes) / kPhases / kStretches;
static_assert(kPlaces * kPhases * kStretches == kPageSize - kAnchorBytes);
constexpr std::uint16_t kLastRank = 0xffff;

/// Scatters the two bytes at a place; two zeros, which are in every page, come last. Four bytes would be
/// alike by chance less often, and cost three times as much.
inline std::uint16_t rank_at(const unsigned char* place) {
  std::uint16_t bytes;
  std::memcpy(&bytes, place, sizeof bytes);
  return static_cast<std::uint16_t>(bytes * 0x9e37u - 1u);
}

SAMEPAGE_VECTORISED
std::uint16_t least_rank(const unsigned char* bytes) {
  std::uint16_t least = kLastRank;
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const std::uint16_t rank = rank_at(bytes + kPhases * i);
    least = rank < least ? rank : least;
  }
  return least;
}

/// The first place of a stretch that has the rank; it is there. In this form the compiler makes vectors of
/// it.
SAMEPAGE_VECTORISED
std::size_t place_of_rank(const unsigned char* bytes, std::uint16_t rank) {
  std::uint16_t from_the_end = 0;
  for (unsigned i = 0; i < kPlaces; ++i) {
    const auto all_if_found =
        static_cast<std::uint16_t>(-static_cast<std::uint16_t>(rank_at(bytes + kPhases * i) == rank));
    const auto place = static_cast<std::uint16_t>((kPlaces - i) & all_if_found);
    from_the_end = place > from_the_end ? place : from_the_end;
  }
  return kPhases * (kPlaces - from_the_end);
}

/// Bytes that differ in `words` words, at most 128 of them: each byte of the sum counts those at its place.
SAMEPAGE_VECTORISED
std::uint64_t differing(const std::uint64_t* one, const std::uint64_t* other, std::size_t words) {
  constexpr std::uint64_t low = 0x7f7f7f7f7f7f7f7f, ones = 0x0101010101010101;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t difference = one[i] ^ other[i];
    sum += ((((difference & low) + low) | difference) >> 7) & ones;
  }
  return sum;
}

}  // namespace

std::size_t differing_bytes(const PageWords& one, const PageWords& other, std::size_t most) {
  constexpr std::size_t kAtOnce = 64, kWords = kPageSize / sizeof(std::uint64_t);
  std::size_t count = 0;
  for (std::size_t i = 0; i < kWords && count <= most; i += kAtOnce) {
    const std::uint64_t sum = differing(one + i, other + i, kAtOnce);
    constexpr std::uint64_t even = 0x00ff00ff00ff00ff;
    count += ((sum & even) + (sum >> 8 & even)) * 0x0001000100010001 >> 48;
  }
  return count;
}

Anchor anchor_of(const PageWords& page) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(page);
  std::uint16_t least = kLastRank;
  std::size_t place = 0;
  for (std::size_t stretch = 0; stretch < kStretches; ++stretch)
    for (std::size_t phase = 0; phase < kPhases; ++phase) {
      const std::size_t start = stretch * kPlaces * kPhases + phase;
      if (const std::uint16_t rank = least_rank(bytes + start); rank < least) {
        least = rank;
        place = start;
      }
    }
  if (least == kLastRank) return {};
  place += place_of_rank(bytes + place, least);
  return {fingerprint(bytes + place, kAnchorBytes) | 1, place};
}

}  // namespace samepage

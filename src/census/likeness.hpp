#pragma once

#include <cstdint>

#include "census/pointer_map.hpp"

namespace samepage {

/// In how many bytes two pages differ; counts no further once it is more than `most`.
std::size_t differing_bytes(const PageWords& one, const PageWords& other, std::size_t most = kPageSize);

/// A place in a page that its content chooses, so that the same bytes choose it again when they are shifted.
struct Anchor {
  std::uint64_t key = 0;  ///< fingerprint of kAnchorBytes from the place on; 0: the page has no such place
  std::size_t offset = 0;
};
inline constexpr std::size_t kAnchorBytes = 64;

/// Of a page whose pointers have been replaced by 0.
Anchor anchor_of(const PageWords& page);

}  // namespace samepage

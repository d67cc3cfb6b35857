#pragma once

#include <cstddef>
#include <cstdint>

namespace samepage {

/// Puts the XXH3 hash of each of `count` pages of 4096 bytes into `hashes`, with the widest vectors that this
/// processor has. (Debian's libxxhash comes without the run-time dispatch of xxh_x86dispatch.h, so its
/// headers are compiled once for each.)
void fingerprint_pages(const void* pages, std::size_t count, std::uint64_t* hashes);

/// The same function, for one page or a part of one.
std::uint64_t fingerprint(const void* bytes, std::size_t size);

}  // namespace samepage

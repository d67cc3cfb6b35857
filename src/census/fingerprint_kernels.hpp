#pragma once

#include <cstddef>
#include <cstdint>

namespace samepage {

// One function, compiled for each kind of vectors.
void fingerprint_pages_sse2(const void* pages, std::size_t count, std::uint64_t* hashes);
void fingerprint_pages_avx2(const void* pages, std::size_t count, std::uint64_t* hashes);

}  // namespace samepage

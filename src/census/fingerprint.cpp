#include "census/fingerprint.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "census/fingerprint_kernels.hpp"

namespace samepage {

void fingerprint_pages(const void* pages, std::size_t count, std::uint64_t* hashes) {
  static const auto kernel = __builtin_cpu_supports("avx2") ? fingerprint_pages_avx2 : fingerprint_pages_sse2;
  kernel(pages, count, hashes);
}

std::uint64_t fingerprint(const void* bytes, std::size_t size) {
  return XXH3_64bits(bytes, size);
}

}  // namespace samepage

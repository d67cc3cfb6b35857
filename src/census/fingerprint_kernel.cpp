// Compiled several times, with SAMEPAGE_KERNEL the function's name and the compiler's options of its vectors.
// No templates here: the linker could take their code for one processor into functions that run on all.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "census/fingerprint_kernels.hpp"

namespace samepage {

void SAMEPAGE_KERNEL(const void* pages, std::size_t count, std::uint64_t* hashes) {
  for (std::size_t i = 0; i < count; ++i)
    hashes[i] = XXH3_64bits(static_cast<const char*>(pages) + i * 4096, 4096);
}

}  // namespace samepage

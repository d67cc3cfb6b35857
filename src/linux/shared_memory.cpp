#include "linux/shared_memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace samepage {

SharedMemory::SharedMemory(std::size_t bytes) : size_(bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "shared memory");
  data_ = static_cast<std::byte*>(memory);
}

SharedMemory::~SharedMemory() {
  munmap(data_, size_);
}

}  // namespace samepage

#include "linux/process_memory.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "linux/system_call.hpp"

namespace samepage {

ProcessMemory::ProcessMemory(pid_t pid) : pid_(pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/mem";
  mem_ = UniqueFd(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  const bool mem_denied = !mem_ && (errno == EACCES || errno == EPERM);
  page_map_ = PageMap::open(pid, denied_);
  denied_ = denied_ || mem_denied;
}

/// Of `size` bytes those before the first page that is not in memory; all if nobody tells.
std::size_t ProcessMemory::resident(std::uint64_t address, std::size_t size) const {
  const std::uint64_t first = address / kPageSize * kPageSize;
  const std::size_t pages = (address + size - first + kPageSize - 1) / kPageSize;
  const auto present = page_map_.present(first, pages);
  if (!present || *present == pages) return size;
  const std::uint64_t end = first + *present * kPageSize;
  return end > address ? end - address : 0;
}

std::size_t ProcessMemory::read(std::uint64_t address, void* buffer, std::size_t size, Pages pages) const {
  std::size_t done = 0;
  if (pages != Pages::file) size = resident(address, size);
  if (size && pages != Pages::shared) {
    const iovec local{buffer, size}, remote{reinterpret_cast<void*>(address), size};
    const ssize_t got = uninterrupted([&] { return process_vm_readv(pid_, &local, 1, &remote, 1, 0); });
    if (got > 0) done = static_cast<std::size_t>(got);
  }
  // What process_vm_readv refuses, such as pages without read permission, may be there all the same.
  while (done < size) {
    const ssize_t got = uninterrupted([&] {
      return pread(mem_.get(), static_cast<char*>(buffer) + done, size - done,
                   static_cast<off_t>(address + done));
    });
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "linux/page_map.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

/// What stands in another process's memory, or in this one's. The process runs on meanwhile.
class ProcessMemory {
 public:
  enum class Pages {
    alone,   ///< anonymous and of this process alone: read at full speed
    file,    ///< of a file or shared memory: the same, and also if it has gone from the page tables meanwhile
    shared,  ///< anonymous and shared by fork or KSM
  };

  explicit ProcessMemory(pid_t pid);

  /// Whether it may be read at all; needs what ptrace(2) needs.
  explicit operator bool() const { return static_cast<bool>(mem_); }
  bool denied() const { return denied_; }
  /// Its page tables.
  const PageMap& page_map() const { return page_map_; }

  /// Reads from `address` into `buffer` until something cannot be read; returns the bytes read.
  ///
  /// Anonymous pages only if they are there now, as /proc/PID/pagemap tells: reading memory that the process
  /// has given back would give it pages anew, also of zeros where the kernel has no page of zeros to show (as
  /// in some virtual machines).
  ///
  /// process_vm_readv(2) pins what it reads, and since Linux 5.19 pinning an anonymous page that is shared
  /// gives the process a copy of its own (gup_must_unshare in mm/internal.h): looking would undo the sharing.
  /// So such pages are read through /proc/PID/mem, which does not pin, at some two thirds of the speed.
  std::size_t read(std::uint64_t address, void* buffer, std::size_t size, Pages pages) const;

 private:
  std::size_t resident(std::uint64_t address, std::size_t size) const;

  pid_t pid_;
  UniqueFd mem_;
  PageMap page_map_;
  bool denied_ = false;
};

}  // namespace samepage

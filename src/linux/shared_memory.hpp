#pragma once

#include <cstddef>

namespace samepage {

/// Zeroed memory that this process shares with those it forks, at the same address. It has no name, so it is
/// gone with the last of them. Pages exist once they are touched.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_;
  std::size_t size_;
};

}  // namespace samepage

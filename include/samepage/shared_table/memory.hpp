/// Where a shared table lies: anonymous memory that forked workers inherit, or a file.
///
/// A file is reserved whole when it is made, so that a full disk is an error there and not a SIGBUS later.
/// Each user holds a shared flock(2) on it; whoever finds that nobody else does prepares it. So what a
/// table's last users left, be it a machine that crashed, is put right before the next one sees it. The lock
/// is the descriptor's: a user, and a child of its, that closes all descriptors must not go on with the
/// table.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace samepage::shared_table {

class Memory {
 public:
  /// Zeros, shared with children forked from now on. Throws std::system_error or Boost's
  /// interprocess_exception.
  static Memory anonymous(std::size_t size) {
    return {-1, boost::interprocess::anonymous_shared_memory(size)};
  }

  /// `prepare(bytes, existed)` is called if nobody else uses the file, then `check(bytes)` in any case, which
  /// says whether it was ever prepared. What they throw leaves a file that was there as it was. Throws
  /// std::system_error, and std::runtime_error if the file has another size.
  template <class Prepare, class Check>
  static Memory file(const std::filesystem::path& path, std::size_t size, Prepare prepare, Check check) {
    Memory memory(must(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), path), {});
    while (true) {
      const bool alone = ::flock(memory.fd_, LOCK_EX | LOCK_NB) == 0;
      if (!alone) lock(memory.fd_, LOCK_SH, path);
      struct stat status;
      must(::fstat(memory.fd_, &status), path);
      const bool is_new = status.st_size == 0;
      if (is_new && alone) reserve(memory.fd_, size, path);
      if (!is_new && status.st_size != static_cast<off_t>(size))
        throw std::runtime_error(path.string() + ": not a shared table of this capacity and these types");
      if (is_new && !alone) continue;  // it is just being made
      memory.region_ = {Handle{memory.fd_}, boost::interprocess::read_write, 0, size};
      if (alone) prepare(memory.bytes(), !is_new);
      if (alone) lock(memory.fd_, LOCK_SH, path);
      if (check(memory.bytes())) return memory;
    }
  }

  Memory(Memory&& other) noexcept : fd_(std::exchange(other.fd_, -1)), region_(std::move(other.region_)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(fd_, other.fd_);
    region_.swap(other.region_);
    return *this;
  }
  ~Memory() {
    if (fd_ >= 0) ::close(fd_);
  }

  std::byte* bytes() const { return static_cast<std::byte*>(region_.get_address()); }

 private:
  struct Handle {  // what Boost can map
    int fd;
    boost::interprocess::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
  };

  Memory(int fd, boost::interprocess::mapped_region region) : fd_(fd), region_(std::move(region)) {}

  static int must(int result, const std::filesystem::path& path) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), path.string());
    return result;
  }
  static void lock(int fd, int how, const std::filesystem::path& path) {
    int result;
    while ((result = ::flock(fd, how)) != 0 && errno == EINTR) {
    }
    must(result, path);
  }
  static void reserve(int fd, std::size_t size, const std::filesystem::path& path) {
    if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(size))) {
      (void)!::ftruncate(fd, 0);
      throw std::system_error(error, std::generic_category(), path.string());
    }
  }

  int fd_;
  boost::interprocess::mapped_region region_;
};

}  // namespace samepage::shared_table

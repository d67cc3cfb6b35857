#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "linux/unique_fd.hpp"

namespace samepage::farm {

/// Reads a file through a buffer; "-" is standard input. Throws JobError that names the file.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);

  /// As much as there is, at most `target`: less only at the end. Large pieces are read in place.
  std::size_t read(std::span<std::byte> target);
  void skip(std::uint64_t bytes);
  /// Up to and with the next newline, or the end of the file; empty at the end. Valid until the next call.
  std::string_view line();

  /// What can be had without waiting; of a regular file, all.
  bool has_buffered(std::size_t bytes) const { return regular_ || end_ - begin_ >= bytes; }
  bool has_buffered_line() const;

  [[noreturn]] void fail_truncated() const;

 private:
  std::size_t read_some(std::span<std::byte> target);
  bool refill();

  std::filesystem::path path_;
  UniqueFd own_;
  int fd_;
  bool regular_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what of the buffer is not yet handed out
};

}  // namespace samepage::farm

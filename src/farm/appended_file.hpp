#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "linux/unique_fd.hpp"

namespace samepage::farm {

/// A file that only grows, from a length that is known to be good. Throws JobError that names the file.
class AppendedFile {
 public:
  explicit AppendedFile(std::filesystem::path path) : path_(std::move(path)) {}

  /// Opens it, made if need be, and cuts it to `length`; it must hold so much.
  void open(std::uint64_t length);
  void append(std::span<const std::byte> bytes);
  /// Writes and makes durable; the length from now on good.
  std::uint64_t commit();
  /// How much has been appended in all.
  std::uint64_t length() const { return length_; }
  const std::filesystem::path& path() const { return path_; }
  bool is_open() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }

 private:
  void write_out(std::span<const std::byte> bytes);
  [[noreturn]] void fail(const char* what) const;

  std::filesystem::path path_;
  UniqueFd fd_;
  std::vector<std::byte> buffer_;
  std::uint64_t length_ = 0;
};

/// So that a name that was given or taken stays so when the machine dies.
void sync_folder_of(const std::filesystem::path& file);

}  // namespace samepage::farm

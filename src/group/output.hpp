#pragma once

#include <string>
#include <string_view>

#include "linux/unique_fd.hpp"

namespace samepage {

/// Puts a prefix before each line of a stream that comes in pieces.
class LinePrefixer {
 public:
  explicit LinePrefixer(std::string prefix) : prefix_(std::move(prefix)) {}

  /// The lines that `piece` completes, with their prefix; a line longer than 64 kB is cut.
  std::string add(std::string_view piece);
  /// What is left, as a line.
  std::string finish();

 private:
  std::string prefix_;
  std::string partial_;
};

/// Where output goes: keeps what cannot be written yet, so that a slow reader never stops the poll loop.
class Sink {
 public:
  /// `fd` is borrowed; `name` is for messages.
  Sink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Sink(UniqueFd file, std::string name) : file_(std::move(file)), fd_(file_.get()), name_(std::move(name)) {}

  int fd() const { return fd_; }
  bool is_own_file() const { return static_cast<bool>(file_); }
  const std::string& name() const { return name_; }
  void add(std::string_view bytes) { pending_ += bytes; }
  bool waiting() const { return !pending_.empty(); }
  /// No more should be added until some was written.
  bool full() const { return pending_.size() > (1 << 20); }
  /// To be called when poll(2) says that the descriptor is writable. Returns 0 or the errno that ended the
  /// stream; what was pending is then dropped.
  int write_some();

 private:
  UniqueFd file_;
  int fd_;
  std::string name_;
  std::string pending_;
};

}  // namespace samepage

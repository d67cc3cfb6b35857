#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "farm/appended_file.hpp"

namespace samepage::farm {

inline constexpr std::string_view kQuarantineMagic = "samepage quarantine 1\n\n\n";

/// Events that no worker survived, with the reason: kQuarantineMagic, then of each the number, the lengths of
/// reason and event (8 bytes each, little-endian), the reason, and the event's bytes. quarantine_source()
/// reads it back.
class QuarantineFile {
 public:
  explicit QuarantineFile(std::filesystem::path path) : file_(std::move(path)) {}

  /// Goes on behind `committed` bytes. The file is made with the first event that is added.
  void open(std::uint64_t committed);
  void add(std::uint64_t number, std::string_view reason, std::span<const std::byte> event);
  std::uint64_t commit() { return file_.is_open() ? file_.commit() : 0; }

 private:
  AppendedFile file_;
};

}  // namespace samepage::farm

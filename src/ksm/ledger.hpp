#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "linux/unique_fd.hpp"

namespace samepage {

/// A setting as it was found, and what it was changed to.
struct KsmChange {
  std::string knob;
  std::string found;
  std::string ours;
};

struct KsmHolder {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  bool operator==(const KsmHolder&) const = default;
};

/// What ksm.json holds: `{"version": 1, "holders": [{"pid", "start_time"}], "changes": [{"knob", "found",
/// "ours"}]}`.
struct KsmRecord {
  std::vector<KsmHolder> holders;
  std::vector<KsmChange> changes;  ///< in the order in which they were made
};

/// The record that all runs on this machine share, locked for as long as this object lives. It is a file of
/// its own directory, both writable by their owner alone; one that somebody else could have written is not
/// believed.
class KsmLedger {
 public:
  /// Makes the directory when it is missing; waits for the lock. Absent, with one line of reason, where that
  /// fails.
  static std::optional<KsmLedger> open(const std::filesystem::path& directory, std::string& why_not);

  /// Whether a record lies there, found without locking.
  static bool exists(const std::filesystem::path& directory);

  /// Empty when nobody holds a lease. Absent when the file is not ours, is damaged, or has an unknown
  /// version: it must then be left alone.
  std::optional<KsmRecord> load() const;
  bool save(const KsmRecord& record) const;
  void clear() const;

 private:
  KsmLedger(std::filesystem::path directory, UniqueFd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}

  std::filesystem::path directory_;
  UniqueFd lock_;
};

}  // namespace samepage

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace samepage::farm {

/// All that a job needs to go on behind a commit.
struct Committed {
  /// Events that were written ahead of their order, or whose merged result waits for earlier ones (unordered
  /// output).
  struct Ahead {
    std::uint64_t first_index, events;
    std::string merged;
    friend bool operator==(const Ahead&, const Ahead&) = default;
  };

  std::uint64_t events = 0;  ///< of the source, all done
  std::uint64_t quarantined = 0;
  std::uint64_t quarantine_bytes = 0;
  std::string sink;       ///< what Sink::open wants
  std::string merged;     ///< total of the first `events`; empty if there is nothing to merge
  bool complete = false;  ///< nothing is left to do but to finish the sink
  std::vector<Ahead> ahead;
  friend bool operator==(const Committed&, const Committed&) = default;
};

/// One file that is replaced as a whole, so that it always holds one commit; docs/farm.md has the format. It
/// is refused if it is damaged, of another version, or of a job with another identity.
class Journal {
 public:
  Journal(std::filesystem::path file, std::string identity)
      : file_(std::move(file)), identity_(std::move(identity)) {}

  /// Nothing if there is no such file. Throws JobError.
  std::optional<Committed> read() const;
  void write(const Committed& state) const;
  void remove() const;
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  std::string identity_;
};

std::string encode(const Committed& state, std::string_view identity);

}  // namespace samepage::farm

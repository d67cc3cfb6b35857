#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace samepage::farm {

/// What a worker hands to the writer for one block: each event's output, or that it goes to quarantine and
/// why, and what the block adds to the merged result.
class BlockRecord {
 public:
  void begin(std::uint64_t first_index);
  void add_output(std::uint64_t number, std::span<const std::byte> output);
  void add_quarantined(std::uint64_t number, std::string_view reason, std::span<const std::byte> event);
  void end(std::string_view merged);
  std::span<const std::byte> bytes() const { return bytes_; }

  struct Head {
    std::uint64_t first_index;
    std::uint64_t merged_bytes;
    std::uint32_t events;
    std::uint32_t unused;
  };
  struct EntryHead {
    std::uint64_t number;
    std::uint64_t bytes;
    std::uint32_t reason_bytes;
    std::uint32_t quarantined;
  };

 private:
  void append(const void* data, std::size_t size);
  void add(std::uint64_t number, std::string_view reason, std::span<const std::byte> bytes, bool quarantined);

  Head head_{};
  std::vector<std::byte> bytes_;
};

/// Reads one. The bytes come from a worker of the same program and are trusted.
class BlockRecordView {
 public:
  struct Entry {
    std::uint64_t number;
    bool quarantined;
    std::string_view reason;           // of a quarantined event
    std::span<const std::byte> bytes;  // the output, or the quarantined event
  };

  explicit BlockRecordView(std::span<const std::byte> bytes);
  std::uint64_t first_index() const { return head_.first_index; }
  std::uint32_t events() const { return head_.events; }
  std::string_view merged() const { return merged_; }
  /// The next of events() entries.
  Entry next();

 private:
  BlockRecord::Head head_{};
  std::string_view merged_;
  std::span<const std::byte> rest_;
};

}  // namespace samepage::farm

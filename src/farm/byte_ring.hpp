#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace samepage::farm {

/// A stream of records from one worker to the writer through shared memory; zero bytes are an empty ring.
///
/// Two counters of bytes, each written by one side alone: `written_` by the worker once the bytes before it
/// are in place (release), `read_` by the writer once it has taken them (release). A record longer than the
/// ring goes in pieces. A worker killed at any instruction leaves whole records and at most one unfinished,
/// which the writer drops when it starts the ring afresh for the worker's successor.
class ByteRing {
 public:
  struct Counters {
    alignas(64) std::atomic<std::uint64_t> written;
    alignas(64) std::atomic<std::uint64_t> read;
  };

  ByteRing(Counters& counters, std::span<std::byte> bytes) : counters_(&counters), bytes_(bytes) {}

  std::size_t used() const {
    return static_cast<std::size_t>(counters_->written.load(std::memory_order_acquire) -
                                    counters_->read.load(std::memory_order_acquire));
  }
  std::size_t capacity() const { return bytes_.size(); }

  /// Worker: as much of `source` as there is room for; returns how much.
  std::size_t write(std::span<const std::byte> source);
  /// Writer: fills `target` as far as there are bytes; returns how far.
  std::size_t read(std::span<std::byte> target);
  /// Writer, when the worker is dead: empty again.
  void reset() {
    counters_->read.store(counters_->written.load(std::memory_order_acquire), std::memory_order_release);
  }

 private:
  Counters* counters_;
  std::span<std::byte> bytes_;
};

/// What a record begins with.
struct RecordHeader {
  std::uint64_t block;  // its number in the dispatch
  std::uint64_t bytes;  // that follow
};

/// The writer's end of a ring: puts records together.
class RecordReader {
 public:
  explicit RecordReader(ByteRing ring) : ring_(ring) {}

  /// The next whole record, if it is there; valid until the next call.
  struct Record {
    std::uint64_t block;
    std::span<const std::byte> bytes;
  };
  bool next(Record& record);
  /// True if bytes were taken since the last call: the worker may be waiting for room.
  bool took_bytes() { return std::exchange(took_, false); }
  void start_afresh();

 private:
  ByteRing ring_;
  RecordHeader header_{};
  std::vector<std::byte> body_;
  std::size_t have_ = 0;  // of header and body
  bool took_ = false;
};

}  // namespace samepage::farm

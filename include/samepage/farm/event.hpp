/// What is processed, and what comes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// One event as a worker gets it. The bytes lie in shared memory, 16-byte aligned, and are valid during the
/// call that received the event.
struct Event {
  std::uint64_t number;  ///< as the source numbers it
  std::uint64_t seed;    ///< of this event's random numbers: depends on the job's seed and `number` alone
  std::span<const std::byte> bytes;
  unsigned attempt;  ///< 0, or how many workers were lost with this event before

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// The seed of an event: splitmix64 (Steele, Lea, Flood 2014) of both.
std::uint64_t event_seed(std::uint64_t job_seed, std::uint64_t number);

/// What an event gives to the sink: bytes, empty at first. Kept in the worker until the event is done.
class Output {
 public:
  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void append(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }
  std::span<const std::byte> bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace samepage::farm
#pragma GCC visibility pop

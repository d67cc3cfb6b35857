#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "farm/bell.hpp"
#include "farm/byte_ring.hpp"
#include "farm/dispatch.hpp"
#include "farm/event_arena.hpp"
#include "linux/shared_memory.hpp"
#include "linux/unique_fd.hpp"
#include "samepage/farm.hpp"

/// All that the processes of one job share. Every field says who writes it; nobody ever holds anything in it.
namespace samepage::farm {

/// A text with one writer, read once the writer is gone or has said that it is complete.
template <std::size_t Size>
struct SharedText {
  std::array<char, Size> text;

  void set(std::string_view value) {
    const std::size_t size = std::min(value.size(), Size - 1);
    value.copy(text.data(), size);
    text[size] = 0;
  }
  std::string_view get() const { return text.data(); }
};

/// What the supervisor wants of a worker; it looks between blocks.
enum class Command : std::uint32_t { none, retire, promote };

/// How a worker's process stands, as it says itself.
enum class Phase : std::uint32_t {
  working,
  ended,     // it leaves in order: told to retire, or the job is done
  serving,   // it has become the template
  finished,  // its own loop has no more to do
};

/// The desk at which a worker sits; its successor takes it over.
struct alignas(64) Desk {
  Bell bell;  // the worker sleeps on it: for work, for room in its ring

  // The worker's.
  std::atomic<pid_t> pid;  // the first that a forked process says; 0 before
  std::atomic<Phase> phase;
  std::atomic<std::uint32_t> offers;       // not 0: it offers itself as template
  std::atomic<std::uint32_t> event;        // which of its block it is at
  std::atomic<std::uint64_t> started_ns;   // when it began that (steady clock); 0 between events
  std::atomic<std::uint64_t> events_done;  // over all who sat here
  std::atomic<std::uint64_t> busy_ns;      // likewise
  std::atomic<std::uint32_t> waits_for_room;
  SharedText<240> message;                   // of the exception that ends it
  std::atomic<std::uint32_t> samples_taken;  // in `samples`, by this process
  std::array<MemorySample, 16> samples;

  // The supervisor's.
  std::atomic<Command> command;
  std::atomic<std::uint32_t> lane;  // on which to serve when told to promote
  std::atomic<std::uint32_t> dead;  // counts the workers that died here and were not drained yet
  // The writer's.
  std::atomic<std::uint32_t> drained;  // follows `dead`
};

/// Beyond the desks and rings, which are as many as there are workers.
struct Control {
  Dispatch::Memory dispatch;
  Bell reader_bell, writer_bell;

  // The writer's.
  std::atomic<std::uint32_t> finished;     // all is committed: workers go home
  std::atomic<std::uint64_t> events_done;  // taken from workers, and before a resumption
  std::atomic<std::uint64_t> quarantined;
  std::atomic<std::uint64_t> committed_events;
  SharedText<1024> writer_error;
  // The reader's.
  std::atomic<std::uint64_t> events_read;
  std::atomic<std::uint64_t> reader_wants;  // blocks to be received before it can go on, while it sleeps
  SharedText<1024> reader_error;
  // The supervisor's.
  std::atomic<std::uint32_t> stop;  // commit what is there and leave
};

using Reason = SharedText<256>;

class SharedState {
 public:
  explicit SharedState(const Options& options);

  Control& control() const { return *control_; }
  Desk& desk(unsigned worker) const { return desks_[worker]; }
  std::span<Desk> desks() const { return {desks_, workers_}; }
  ByteRing ring(unsigned worker) const {
    return {counters_[worker], {rings_.data() + worker * kRingBytes, kRingBytes}};
  }
  EventHeader& event(std::uint64_t offset) const {
    return *reinterpret_cast<EventHeader*>(arena_.data() + offset);
  }
  std::byte* event_bytes(std::uint64_t offset) const { return arena_.data() + offset + sizeof(EventHeader); }
  std::size_t arena_bytes() const { return arena_.size(); }
  /// How many events there is room for whatever their size: one for each worker, one being read, one waiting.
  static std::size_t large_events(const Options& options) { return options.workers + 2; }
  /// Why events go to quarantine: as many as can be on their way there.
  std::span<Reason> reasons() const { return {reasons_, reason_count_}; }
  unsigned workers() const { return workers_; }

  /// Makes the supervisor look: any process may.
  void call_supervisor() const;
  int calls() const { return calls_.get(); }
  /// The merged result, which may be of any size: written by the writer when it has finished, read by the
  /// supervisor.
  int merged_file() const { return merged_.get(); }

 private:
  static constexpr std::size_t kRingBytes = std::size_t{256} << 10;

  unsigned workers_;
  std::size_t reason_count_;
  SharedMemory memory_, rings_, arena_;
  Control* control_;
  Desk* desks_;
  ByteRing::Counters* counters_;
  Reason* reasons_;
  UniqueFd calls_, merged_;
};

std::uint64_t steady_ns();
/// Of the same clock, some milliseconds late at most, and cheap enough for every event.
std::uint64_t coarse_ns();

}  // namespace samepage::farm

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace samepage::farm {

inline constexpr unsigned kMaxWorkers = 1024;

/// Which blocks of events are there, and who has them: a ring of slots in shared memory, zero bytes to begin
/// with.
///
/// A slot's word holds the block's number, its state and its owner, and is the only thing that two processes
/// may want to change at once. Each change is one atomic store or compare-and-swap, so a process killed at
/// any instruction has either made it or not:
///
///   free → ready       reader (publish), once the block's events are in place
///   ready → claimed    one worker, by compare-and-swap (claim)
///   claimed → received the writer, once it has the block's outputs (receive)
///   claimed → ready    the supervisor, once the worker is dead and the writer has drained its ring
///   (give_back) received → free    the reader, in order, when it wants the room (recycle)
///
/// `hint` is where claiming starts to look: advice, never truth. Its upper bits count the times that the
/// supervisor moved it back, so that a worker's compare-and-swap from an older value fails.
class Dispatch {
 public:
  static constexpr std::size_t kSlots = 1024;
  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

  enum class State : std::uint8_t { free, ready, claimed, received };

  struct Block {
    std::uint64_t first_index;  // of its first event among all of the source's
    std::uint32_t events;
    std::uint64_t first_event;  // offset of its header in the arena
  };

  struct alignas(64) Slot {
    std::atomic<std::uint64_t> word;
    Block block;
  };

  struct Memory {
    alignas(64) std::atomic<std::uint64_t> published;  // blocks, written by the reader
    alignas(64) std::atomic<std::uint64_t> hint;
    alignas(64) std::atomic<std::uint64_t> received;        // blocks, written by the writer
    alignas(64) std::atomic<std::uint64_t> total_plus_one;  // blocks of the job, 0 while unknown
    std::array<std::atomic<std::uint64_t>, kMaxWorkers / 64> sleepers;
    std::array<Slot, kSlots> slots;
  };

  explicit Dispatch(Memory& memory) : memory_(memory) {}

  // Reader.
  std::uint64_t published() const { return memory_.published.load(std::memory_order_acquire); }
  bool has_free_slot() const;
  void publish(const Block& block);
  /// Oldest block that is not free, made free if it was received; false if it was not, or there is none.
  bool recycle();
  void set_total(std::uint64_t blocks) {
    memory_.total_plus_one.store(blocks + 1, std::memory_order_release);
  }

  // Workers.
  std::optional<std::uint64_t> claim(unsigned worker);
  const Block& block(std::uint64_t number) const { return memory_.slots[number % kSlots].block; }
  bool something_ready() const;

  // Writer.
  /// False if it was received before: a worker died between handing it over and being told so.
  bool receive(std::uint64_t number);
  std::uint64_t received() const { return memory_.received.load(std::memory_order_acquire); }
  std::uint64_t total() const {
    return memory_.total_plus_one.load(std::memory_order_acquire) - 1;
  }  // or kUnknown

  // Supervisor.
  /// What a dead worker had and the writer did not get.
  std::optional<std::uint64_t> claimed_by(unsigned worker) const;
  void give_back(std::uint64_t number);

  // Who sleeps: a bit per worker, so that saying it twice, or dying without taking it back, does no harm.
  void set_sleeping(unsigned worker, bool sleeping);
  /// One that slept, and is no longer counted as sleeping.
  std::optional<unsigned> take_sleeper();
  /// A hint: it may see too late that someone fell asleep.
  bool someone_may_sleep() const;

 private:
  static std::uint64_t word(std::uint64_t number, State state, unsigned owner = 0) {
    return number << 16 | static_cast<std::uint64_t>(owner) << 2 | static_cast<std::uint64_t>(state);
  }
  static bool is(std::uint64_t word, std::uint64_t number, State state) {
    return word >> 16 == number && (word & 3) == static_cast<std::uint64_t>(state);
  }

  Memory& memory_;
  std::uint64_t recycled_ = 0;  // the reader's own
};

}  // namespace samepage::farm

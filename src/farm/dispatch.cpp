#include "farm/dispatch.hpp"

#include <algorithm>
#include <bit>

namespace samepage::farm {

namespace {

constexpr unsigned kHintBits = 48;
constexpr std::uint64_t kHintMask = (std::uint64_t{1} << kHintBits) - 1;

}  // namespace

bool Dispatch::has_free_slot() const {
  return published() - recycled_ < kSlots;
}

void Dispatch::publish(const Block& block) {
  const std::uint64_t number = published();
  Slot& slot = memory_.slots[number % kSlots];
  slot.block = block;
  slot.word.store(word(number, State::ready), std::memory_order_release);
  memory_.published.store(number + 1, std::memory_order_seq_cst);
}

bool Dispatch::recycle() {
  if (recycled_ == published()) return false;
  Slot& slot = memory_.slots[recycled_ % kSlots];
  if (!is(slot.word.load(std::memory_order_acquire), recycled_, State::received)) return false;
  slot.word.store(word(recycled_, State::free), std::memory_order_relaxed);
  ++recycled_;
  return true;
}

std::optional<std::uint64_t> Dispatch::claim(unsigned worker) {
  std::uint64_t hint = memory_.hint.load(std::memory_order_acquire);
  const std::uint64_t end = memory_.published.load(std::memory_order_seq_cst);
  for (std::uint64_t number = hint & kHintMask; number < end; ++number) {
    std::atomic<std::uint64_t>& slot = memory_.slots[number % kSlots].word;
    std::uint64_t ready = word(number, State::ready);
    if (slot.load(std::memory_order_relaxed) != ready) continue;
    if (!slot.compare_exchange_strong(ready, word(number, State::claimed, worker), std::memory_order_acq_rel))
      continue;
    memory_.hint.compare_exchange_strong(hint, (hint & ~kHintMask) | (number + 1), std::memory_order_acq_rel);
    return number;
  }
  return std::nullopt;
}

bool Dispatch::something_ready() const {
  const std::uint64_t end = memory_.published.load(std::memory_order_seq_cst);
  for (std::uint64_t number = memory_.hint.load(std::memory_order_acquire) & kHintMask; number < end;
       ++number)
    if (is(memory_.slots[number % kSlots].word.load(std::memory_order_acquire), number, State::ready))
      return true;
  return false;
}

bool Dispatch::receive(std::uint64_t number) {
  std::atomic<std::uint64_t>& slot = memory_.slots[number % kSlots].word;
  if (!is(slot.load(std::memory_order_acquire), number, State::claimed)) return false;
  slot.store(word(number, State::received), std::memory_order_release);
  memory_.received.store(memory_.received.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
  return true;
}

std::optional<std::uint64_t> Dispatch::claimed_by(unsigned worker) const {
  const std::uint64_t end = published();
  for (std::uint64_t number = end - std::min<std::uint64_t>(end, kSlots); number < end; ++number)
    if (memory_.slots[number % kSlots].word.load(std::memory_order_acquire) ==
        word(number, State::claimed, worker))
      return number;
  return std::nullopt;
}

void Dispatch::give_back(std::uint64_t number) {
  memory_.slots[number % kSlots].word.store(word(number, State::ready), std::memory_order_release);
  std::uint64_t hint = memory_.hint.load(std::memory_order_acquire), back = 0;
  do {
    const std::uint64_t moved = (hint >> kHintBits) + 1;
    back = moved << kHintBits | std::min(hint & kHintMask, number);
  } while (!memory_.hint.compare_exchange_weak(hint, back, std::memory_order_seq_cst));
}

void Dispatch::set_sleeping(unsigned worker, bool sleeping) {
  const std::uint64_t bit = std::uint64_t{1} << worker % 64;
  auto& word = memory_.sleepers[worker / 64];
  if (sleeping) {
    word.fetch_or(bit, std::memory_order_seq_cst);
  } else {
    word.fetch_and(~bit, std::memory_order_relaxed);
  }
}

std::optional<unsigned> Dispatch::take_sleeper() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (unsigned i = 0; i < memory_.sleepers.size(); ++i) {
    std::uint64_t bits = memory_.sleepers[i].load(std::memory_order_relaxed);
    while (bits) {
      const unsigned at = static_cast<unsigned>(std::countr_zero(bits));
      const std::uint64_t bit = std::uint64_t{1} << at;
      if (memory_.sleepers[i].fetch_and(~bit, std::memory_order_acq_rel) & bit) return i * 64 + at;
      bits &= ~bit;
    }
  }
  return std::nullopt;
}

bool Dispatch::someone_may_sleep() const {
  for (const auto& word : memory_.sleepers)
    if (word.load(std::memory_order_relaxed)) return true;
  return false;
}

}  // namespace samepage::farm

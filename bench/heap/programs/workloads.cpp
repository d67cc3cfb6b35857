#include "workloads.hpp"

#include <semaphore.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "random.hpp"

namespace samepage {
namespace {

constexpr std::size_t kPage = 4096;

/// The compiler must assume that `memory` is used, and may not drop its allocation.
void use(void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

/// malloc that is surely called and whose first byte is written.
void* allocate(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  *static_cast<char*>(memory) = 1;
  use(memory);
  return memory;
}

/// Sizes as programs ask for them: each power of two as likely as the next.
std::size_t mixed_size(Random& random, std::uint32_t smallest_log2, std::uint32_t largest_log2) {
  const std::size_t base = std::size_t{1} << random.between(smallest_log2, largest_log2 - 1);
  return base + random.below(static_cast<std::uint32_t>(base));
}

void in_threads(std::uint32_t threads, const std::function<void(std::uint32_t thread)>& work) {
  std::vector<std::jthread> running;
  for (std::uint32_t thread = 0; thread < threads; ++thread) running.emplace_back(work, thread);
}

void tight_pair(std::uint32_t amount) {
  for (std::uint32_t i = 0; i < amount; ++i) {
    void* memory = std::malloc(64);
    use(memory);
    std::free(memory);
  }
}

/// Random blocks of a table freed and allocated anew.
void small_mixed_with(std::uint32_t amount, std::uint64_t seed) {
  Random random(seed);
  std::vector<void*> alive(8192);
  for (std::uint32_t i = 0; i < amount; ++i) {
    void*& slot = alive[random.below(static_cast<std::uint32_t>(alive.size()))];
    std::free(slot);
    slot = allocate(mixed_size(random, 4, 10));
  }
  std::for_each(alive.begin(), alive.end(), std::free);
}

void small_mixed(std::uint32_t amount) {
  small_mixed_with(amount, 1);
}

void small_mixed_4_threads(std::uint32_t amount) {
  in_threads(4, [amount](std::uint32_t thread) { small_mixed_with(amount, thread); });
}

/// Batches of blocks that one thread fills and another frees; each side waits when the ring is full or empty.
class Ring {
 public:
  static constexpr std::size_t kBatch = 1024;
  using Batch = std::array<void*, kBatch>;

  Ring() {
    sem_init(&free_, 0, kBatches);
    sem_init(&full_, 0, 0);
  }

  template <typename Fill>
  void produce(Fill fill) {
    sem_wait(&free_);
    fill(batches_[head_++ % batches_.size()]);
    sem_post(&full_);
  }

  template <typename Drain>
  void consume(Drain drain) {
    sem_wait(&full_);
    drain(batches_[tail_++ % batches_.size()]);
    sem_post(&free_);
  }

 private:
  static constexpr std::size_t kBatches = 16;
  std::array<Batch, kBatches> batches_;
  sem_t free_;  // sleeps at once, unlike std::counting_semaphore, which spins first
  sem_t full_;
  std::size_t head_ = 0;  // the producer's
  std::size_t tail_ = 0;  // the consumer's
};

void producer_consumer(std::uint32_t batches) {
  std::vector<Ring> rings(2);
  in_threads(4, [&rings, batches](std::uint32_t thread) {
    Ring& ring = rings[thread / 2];
    Random random(thread);
    for (std::uint32_t i = 0; i < batches; ++i) {
      if (thread % 2 == 0)
        ring.produce([&](Ring::Batch& batch) {
          std::generate(batch.begin(), batch.end(), [&] { return allocate(mixed_size(random, 4, 9)); });
        });
      else
        ring.consume([](Ring::Batch& batch) { std::for_each(batch.begin(), batch.end(), std::free); });
    }
  });
}

/// 256 kB to 16 MB, every page touched.
void large_blocks(std::uint32_t amount) {
  Random random(1);
  std::array<void*, 8> alive{};
  for (std::uint32_t i = 0; i < amount; ++i) {
    void*& slot = alive[i % alive.size()];
    std::free(slot);
    const std::size_t size = mixed_size(random, 18, 24);
    slot = allocate(size);
    for (std::size_t at = 0; at < size; at += kPage) static_cast<char*>(slot)[at] = 1;
    use(slot);
  }
  std::for_each(alive.begin(), alive.end(), std::free);
}

/// Buffers that grow by half from 16 bytes to 256 kB, side by side, as vectors and strings do.
void realloc_growth(std::uint32_t amount) {
  struct Buffer {
    char* memory = nullptr;
    std::size_t size = 16;
  };
  Random random(1);
  std::array<Buffer, 64> buffers;
  for (std::uint32_t i = 0; i < amount; ++i) {
    Buffer& buffer = buffers[random.below(static_cast<std::uint32_t>(buffers.size()))];
    buffer.size += buffer.size / 2;
    if (buffer.size > (std::size_t{256} << 10)) {
      std::free(buffer.memory);
      buffer = Buffer{};
    }
    buffer.memory = static_cast<char*>(std::realloc(buffer.memory, buffer.size));
    if (buffer.memory == nullptr) std::abort();
    buffer.memory[buffer.size - 1] = 1;
    use(buffer.memory);
  }
  for (Buffer& buffer : buffers) std::free(buffer.memory);
}

/// Ordinary C++: dictionaries of strings to vectors, built, read and destroyed.
void containers(std::uint32_t rounds) {
  Random random(1);
  for (std::uint32_t round = 0; round < rounds; ++round) {
    std::map<std::string, std::vector<std::uint32_t>> dictionary;
    for (std::uint32_t i = 0; i < 20'000; ++i)
      dictionary["a key of some length " + std::to_string(random.below(5'000))].push_back(i);
    std::size_t sum = 0;
    for (const auto& [key, values] : dictionary) sum += key.size() + values.size();
    use(&sum);
  }
}

constexpr Workload kWorkloads[] = {
    {"tight 64-byte pair", 1, 30'000'000, tight_pair},
    {"small mixed sizes", 1, 12'000'000, small_mixed},
    {"small mixed sizes", 4, 6'000'000, small_mixed_4_threads},
    {"producer-consumer frees", 4, 2'000, producer_consumer},
    {"large blocks", 1, 300, large_blocks},
    {"realloc growth", 1, 400'000, realloc_growth},
    {"C++ containers", 1, 40, containers},
};

}  // namespace

std::span<const Workload> workloads() {
  return kWorkloads;
}

}  // namespace samepage

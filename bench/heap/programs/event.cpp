#include "event.hpp"

#include <cstring>
#include <memory>
#include <vector>

namespace samepage {
namespace {

std::uint32_t block_size(Random& random) {
  const std::uint32_t kind = random.below(1000);
  if (kind < 750) return random.between(16, 128);
  if (kind < 980) return random.between(128, 512);
  if (kind < 999) return random.between(512, 4096);
  return 32768;
}

}  // namespace

double process_event(const Conditions& conditions, std::uint32_t allocations, Random& random) {
  std::vector<std::unique_ptr<char[]>> event_data;
  event_data.reserve(allocations);
  double sum = 0;
  for (std::uint32_t i = 0; i < allocations; ++i) {
    const std::uint32_t size = block_size(random);
    std::unique_ptr<char[]> block(new char[size]);
    std::memset(block.get(), static_cast<int>(i), size);
    event_data.push_back(std::move(block));
    sum += conditions.look_up(random.below(conditions.size()));
  }
  return sum;
}

}  // namespace samepage

// The allocator workloads of `bench heap`, fixed in advance: a change here makes older figures incomparable.
#pragma once
#include <cstdint>
#include <span>

namespace samepage {

struct Workload {
  const char* name;
  std::uint32_t threads;
  std::uint32_t amount;  // of work: about 0.3 s under glibc
  void (*run)(std::uint32_t amount);
};

std::span<const Workload> workloads();

}  // namespace samepage

// bench-why-measure PROCESSES MEGABYTES KIND: forks processes that hold memory, and measures how fast it is
// read, fingerprinted and counted; one JSON object on standard output. KIND: equal (the same in all), unique,
// or shared (by fork).
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <samepage/census.hpp>
#include <string>
#include <thread>
#include <vector>

#include "census/fingerprint.hpp"
#include "census/parallel.hpp"
#include "linux/page_map.hpp"
#include "linux/process_memory.hpp"

namespace {

using namespace samepage;

constexpr std::size_t kChunkPages = 128, kChunk = kChunkPages * kPageSize;
constexpr int kRounds = 5;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of all threads of this process, the kernel's part for it included.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Holder {
  pid_t pid;
  std::uint64_t address;
};

void fill(void* at, std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto* words = static_cast<std::uint64_t*>(at);
  for (std::size_t i = 0; i < size / sizeof(std::uint64_t); ++i) words[i] = random();
}

std::vector<Holder> start(std::size_t processes, std::size_t size, const std::string& kind) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  madvise(at, size, MADV_NOHUGEPAGE);
  if (kind == "shared") fill(at, size, 1);
  int ready[2];
  if (pipe(ready) != 0) std::exit(1);
  std::vector<Holder> holders;
  for (std::size_t i = 0; i < processes; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (kind != "shared") fill(at, size, kind == "equal" ? 1 : i + 2);
      if (write(ready[1], "", 1) != 1) _exit(1);
      for (;;) pause();
    }
    holders.push_back({pid, reinterpret_cast<std::uintptr_t>(at)});
    char byte;
    if (read(ready[0], &byte, 1) != 1) std::exit(1);
  }
  return holders;
}

/// GB/s of `read(pid, address, buffer)` over all that the holders hold, on all processors.
template <typename Read>
double rate(const std::vector<Holder>& holders, std::size_t size, Read read) {
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::vector<char>> buffers(threads, std::vector<char>(kChunk));
  const double begin = seconds();
  // Threads stay 8 MB apart: near each other they would wait for the same page table's lock.
  constexpr std::size_t kChunksAtOnce = 16;
  const std::size_t chunks = holders.size() * (size / kChunk);
  in_parallel(threads, (chunks + kChunksAtOnce - 1) / kChunksAtOnce, [&](unsigned thread, std::size_t task) {
    for (std::size_t chunk = task * kChunksAtOnce; chunk < std::min(chunks, (task + 1) * kChunksAtOnce);
         ++chunk) {
      const Holder& holder = holders[chunk / (size / kChunk)];
      read(holder.pid, holder.address + chunk % (size / kChunk) * kChunk, buffers[thread].data());
    }
  });
  return static_cast<double>(holders.size() * size) / 1e9 / (seconds() - begin);
}

std::uint64_t own_peak_kb() {
  std::ifstream status("/proc/self/status");
  std::uint64_t kb = 0;
  for (std::string word; status >> word;)
    if (word == "VmHWM:") status >> kb;
  return kb;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::size_t processes = std::stoul(argv[1]), size = std::stoul(argv[2]) * 1000000 / kChunk * kChunk;
  const std::string kind = argv[3];
  const std::vector<Holder> holders = start(processes, size, kind);
  std::vector<pid_t> pids;
  for (const Holder& holder : holders) pids.push_back(holder.pid);

  CensusOptions options;
  options.pause = 0;
  const std::uint64_t before = own_peak_kb();
  const Census census = take_census(pids, options);
  const std::uint64_t after = own_peak_kb();

  // In turns, so that a machine whose pace changes is the same for all; by then the kernel has seen every
  // page in use. What is shared is read by process_vm_readv(2) last of all, which makes it private.
  std::vector<double> through_mem, readv, readv_cpu, ratios, census_seconds, census_cpu;
  const auto read_by_readv = [&] {
    const double cpu_before = cpu_seconds();
    readv.push_back(rate(holders, size, [](pid_t pid, std::uint64_t address, char* buffer) {
      const iovec local{buffer, kChunk}, remote{reinterpret_cast<void*>(address), kChunk};
      process_vm_readv(pid, &local, 1, &remote, 1, 0);
    }));
    readv_cpu.push_back(cpu_seconds() - cpu_before);
  };
  for (int round = 0; round < kRounds; ++round) {
    through_mem.push_back(rate(holders, size, [](pid_t pid, std::uint64_t address, char* buffer) {
      thread_local pid_t opened = 0;
      thread_local ProcessMemory memory(pid);
      if (opened != pid) memory = ProcessMemory(opened = pid);
      memory.read(address, buffer, kChunk, ProcessMemory::Pages::shared);
    }));
    if (kind != "shared") read_by_readv();
    const double cpu_before = cpu_seconds();
    const Census again = take_census(pids, options);
    census_cpu.push_back(cpu_seconds() - cpu_before);
    census_seconds.push_back(again.seconds);
    ratios.push_back(static_cast<double>(again.bytes_read) / 1e9 / again.seconds /
                     (kind == "shared" ? through_mem : readv).back());
  }
  if (kind == "shared") read_by_readv();
  std::vector<char> own(256 << 20, 1);
  const std::vector<Holder> self{{0, reinterpret_cast<std::uintptr_t>(own.data())}};
  const double copy = rate(self, own.size(), [](pid_t, std::uint64_t address, char* buffer) {
    std::memcpy(buffer, reinterpret_cast<const void*>(address), kChunk);
    asm volatile("" : : "r"(buffer) : "memory");
  });
  const double hash = rate(self, own.size(), [](pid_t, std::uint64_t address, char*) {
    std::uint64_t hashes[kChunkPages];
    fingerprint_pages(reinterpret_cast<const void*>(address), kChunkPages, hashes);
    asm volatile("" : : "r"(hashes) : "memory");
  });
  for (const Holder& holder : holders) {
    kill(holder.pid, SIGKILL);
    waitpid(holder.pid, nullptr, 0);
  }
  fmt::print(
      R"({{"processes": {}, "bytes": {}, "seconds": {}, "bytes_read": {}, "ratio": {}, "readv": {}, "mem": {}, "memcpy": {}, "fingerprint": {}, "census_cpu_per_gb": {}, "readv_cpu_per_gb": {}, "memory": {}}})"
      "\n",
      processes, census.rss, median(census_seconds), census.bytes_read, median(ratios), median(readv),
      median(through_mem), copy, hash, median(census_cpu) / (static_cast<double>(census.bytes_read) / 1e9),
      median(readv_cpu) / (static_cast<double>(holders.size() * size) / 1e9), (after - before) * 1024);
}

// One of several equal copies: a table rich in pointers, read every MS milliseconds until FILE exists; then
// random look-ups, one copy after the other. copies MB FILE MS. Prints its PID after its first reading, and
// at the end its look-ups per second of processor time and what the first write to a page costs of it, in
// microseconds.
#include <fcntl.h>
#include <samepage/samepage.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#pragma weak samepage_settle

namespace {

struct Node {
  explicit Node(std::uint64_t n)
      : name("conditions of channel " + std::to_string(n)), values(n % 13 + 3, double(n) * 0.25) {}
  virtual ~Node() = default;
  std::string name;
  std::vector<double> values;
  const Node* next = nullptr;
};
using Table = std::vector<std::unique_ptr<Node>>;

std::uint64_t read_all(const Table& table) {
  std::uint64_t sum = 0;
  for (const Node* node = table.front().get(); node; node = node->next)
    sum = sum * 31 + node->name.size() + static_cast<std::uint64_t>(node->values.back());
  return sum;
}

/// Of the processor: copies share it with one another.
double seconds_used() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

/// The best of several short times: neighbours on the same core cost up to half.
double look_ups_per_second(const Table& table) {
  std::uint64_t random = 1, sum = 0;
  double best = 0;
  for (int round = 0; round < 10; ++round) {
    constexpr int kCount = 1'000'000;
    const double began = seconds_used();
    for (int i = 0; i < kCount; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      sum += table[(random >> 33) % table.size()]->name[20];
    }
    best = std::max(best, kCount / (seconds_used() - began));
  }
  return best + double(sum % 2) * 1e-9;
}

double first_write_us(Table& table) {
  const std::size_t step = table.size() / 2000;
  const double began = seconds_used();
  for (std::size_t n = 0; n < table.size(); n += step) table[n]->name[0] = 'C';
  return (seconds_used() - began) * 1e6 / 2000;
}

/// A virtual machine that gives free memory back to its host gets it again page by page, at three to ten
/// times what the memory costs elsewhere. Whatever is allocated next comes from what has just been freed.
void have_at_hand(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 1, bytes);
  munmap(memory, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Table table;
  const std::size_t nodes = std::strtoull(argv[1], nullptr, 10) * 4096;
  table.reserve(nodes);
  for (std::size_t n = 0; n < nodes; ++n) {
    table.push_back(std::make_unique<Node>(n));
    if (n) table[n - 1]->next = table[n].get();
  }
  if (std::getenv("BENCH_STORE_AT_HAND")) have_at_hand(std::strtoull(argv[1], nullptr, 10) << 20);
  if (samepage_settle) samepage_settle();
  timespec settled;
  clock_gettime(CLOCK_MONOTONIC, &settled);
  std::uint64_t sum = read_all(table);
  std::printf("%.6f %d\n", double(settled.tv_sec) + double(settled.tv_nsec) * 1e-9,
              static_cast<int>(getpid()));
  std::fflush(stdout);
  while (access(argv[2], F_OK) != 0) {
    usleep(static_cast<useconds_t>(std::atoi(argv[3])) * 1000);
    sum += read_all(table);
  }
  flock(open(argv[2], O_RDONLY | O_CLOEXEC), LOCK_EX);
  const double rate = look_ups_per_second(table);
  std::printf("%.0f %.3f %d\n", rate, first_write_us(table), sum == 0);
  return 0;
}

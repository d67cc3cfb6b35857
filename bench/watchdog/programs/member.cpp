// bench-watchdog-member MEGABYTES SEED [--register]: one process of a group. It fills its memory with bytes
// that are the same for all with one SEED, prints "ready", and obeys lines on its input: "churn MEGABYTES"
// rewrites so much of it again and again with bytes that nobody else has, "calm" puts the old bytes back, the
// end of input ends it. After each line it prints it once done.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr std::size_t kMB = 1'000'000, kPage = 4096;

void fill(std::uint64_t* words, std::size_t bytes, std::uint64_t state) {
  for (std::size_t i = 0; i < bytes / sizeof *words; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    words[i] = state ^ state >> 29;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::size_t bytes = std::strtoul(argv[1], nullptr, 10) * kMB / kPage * kPage;
  const std::uint64_t seed = std::strtoul(argv[2], nullptr, 10);
  constexpr int kSetMemoryMerge = 67;  // PR_SET_MEMORY_MERGE
  if (argc > 3 && prctl(kSetMemoryMerge, 1, 0, 0, 0) != 0) {
    std::perror("PR_SET_MEMORY_MERGE");
    return 1;
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* words = static_cast<std::uint64_t*>(memory);
  fill(words, bytes, seed);
  std::puts("ready");
  std::fflush(stdout);
  std::size_t churning = 0;
  std::uint64_t round = static_cast<std::uint64_t>(getpid()) << 32;
  while (true) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, churning ? 100 : -1) == 0) {
      // One word of each page is enough to make it another.
      for (std::size_t at = 0; at < churning; at += kPage) words[at / sizeof *words] = ++round;
      continue;
    }
    char line[64] = {};
    if (!std::fgets(line, sizeof line, stdin)) return 0;
    if (std::strncmp(line, "churn ", 6) == 0) {
      churning = std::min(bytes, std::strtoul(line + 6, nullptr, 10) * kMB / kPage * kPage);
      for (std::size_t at = 0; at < churning; at += kPage) words[at / sizeof *words] = ++round;
    } else {
      fill(words, churning, seed);
      churning = 0;
    }
    std::fputs(line, stdout);
    std::fflush(stdout);
  }
}

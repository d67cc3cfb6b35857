// bench-watchdog-foreground MEGABYTES: a job that computes and looks things up all over its memory, in one
// thread. Whenever it reads a line it prints the units of work done so far; the end of input ends it.
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 64;
  std::vector<std::uint64_t> table(megabytes * 1'000'000 / 8);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = i * 0x9E3779B97F4A7C15u;
  std::uint64_t at = 1, units = 0;
  std::puts("ready");
  std::fflush(stdout);
  while (true) {
    for (int i = 0; i < 20'000; ++i) at = at * 6364136223846793005u + table[(at ^ at >> 31) % table.size()];
    ++units;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) == 0) continue;
    char line[64];
    if (!std::fgets(line, sizeof line, stdin)) return at == 0;
    std::printf("%llu\n", static_cast<unsigned long long>(units));
    std::fflush(stdout);
  }
}

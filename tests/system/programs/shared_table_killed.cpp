// Kills writers of a shared table at random moments, and says what became of it.
//
//   shared_table_killed KILLS SEED [FILE]
//
// Four writers at a time update random keys; each counts in memory of its own what update() has confirmed.
// Values are large, so that many are killed while one is copied. Prints the kills, and what is wrong: a torn
// value, an update that is missing or too many, a table that cannot be used.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <samepage/shared_table.hpp>

namespace {

struct Large {
  std::array<std::uint64_t, 2048> words;
  bool torn() const {
    for (std::size_t i = 0; i < words.size(); ++i)
      if (words[i] != words[0] * (i + 1)) return true;
    return false;
  }
  void add_one() {
    const std::uint64_t next = words[0] + 1;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = next * (i + 1);
  }
};
using Table = samepage::SharedTable<std::uint32_t, Large>;

constexpr unsigned kKeys = 600, kWriters = 4;

[[noreturn]] void write_on(Table& table, unsigned seed, volatile std::uint64_t& confirmed) {
  std::minstd_rand random(seed);
  while (true) {
    bool torn = false;
    const bool done = table.update(static_cast<std::uint32_t>(random() % kKeys), [&](Large& value) {
      torn = value.torn();
      value.add_one();
    });
    if (!done || torn) _exit(1);
    confirmed = confirmed + 1;
  }
}

pid_t start(Table& table, unsigned seed, volatile std::uint64_t& confirmed) {
  const pid_t pid = fork();
  if (pid == 0) write_on(table, seed, confirmed);
  return pid;
}

}  // namespace

int main(int, char** argv) {
  const unsigned kills = static_cast<unsigned>(std::atoi(argv[1]));
  std::mt19937 random(static_cast<unsigned>(std::atoi(argv[2])));
  auto table = std::make_unique<Table>(argv[3] ? Table::file(argv[3], kKeys) : Table::anonymous(kKeys));
  const std::size_t writers = kills + kWriters;
  auto* confirmed = static_cast<volatile std::uint64_t*>(
      mmap(nullptr, writers * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::array<pid_t, kWriters> running;
  std::array<unsigned, kWriters> number;
  unsigned next = 0, wrong = 0;
  for (unsigned i = 0; i < kWriters; ++i)
    running[i] = start(*table, number[i] = next, confirmed[next]), ++next;

  for (unsigned i = 0; i < writers; ++i) {  // every kill, then the last four
    const unsigned victim = i < kills ? static_cast<unsigned>(random() % kWriters) : i - kills;
    while (confirmed[number[victim]] == 0 && waitpid(running[victim], nullptr, WNOHANG) == 0) usleep(100);
    usleep(static_cast<unsigned>(random() % 2000));
    kill(running[victim], SIGKILL);
    int status = 0;
    if (waitpid(running[victim], &status, 0) != running[victim] || !WIFSIGNALED(status)) ++wrong;
    if (i < kills) running[victim] = start(*table, number[victim] = next, confirmed[next]), ++next;
  }

  if (argv[3]) {  // as the next to come finds it
    table.reset();
    table = std::make_unique<Table>(Table::file(argv[3], kKeys));
  }
  std::uint64_t sum = 0, sure = 0, torn = 0, entries = 0;
  table->for_each([&](std::uint32_t, const Large& value) {
    sum += value.words[0];
    torn += value.torn();
    ++entries;
  });
  for (std::size_t i = 0; i < writers; ++i) sure += confirmed[i];
  const bool counted = sum >= sure && sum <= sure + writers && entries == table->size();
  std::uint64_t after = 0;
  for (std::uint32_t key = 0; key < kKeys; ++key)
    if (table->update(key, [&](Large& value) { after += !value.torn(); })) continue;
  std::printf("%u killed, %u ended otherwise, %ju torn, %s, %s\n", kills, wrong,
              static_cast<std::uintmax_t>(torn), counted ? "none lost" : "miscounted",
              after == kKeys ? "usable" : "not usable");
  std::fprintf(stderr, "%ju updates, %ju confirmed\n", static_cast<std::uintmax_t>(sum),
               static_cast<std::uintmax_t>(sure));
  return 0;
}

// table FILE MEGABYTES: builds a table of linked strings, the same in every process but for addresses, prints
// "ready", and looks things up in it for as long as FILE exists.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::mt19937_64 random(1);
  std::map<std::uint64_t, std::string> table;
  const std::size_t entries = std::strtoull(argv[2], nullptr, 10) * 1000000 / 160;
  for (std::size_t i = 0; i < entries; ++i) table[random()] = std::to_string(random()) + " entry of a table";
  std::puts("ready");
  std::fflush(stdout);
  std::size_t found = 0;
  while (access(argv[1], F_OK) == 0) {
    std::vector<std::string> event;
    for (int i = 0; i < 2000; ++i)
      if (const auto entry = table.lower_bound(random()); entry != table.end())
        event.push_back(entry->second);
    found += event.size();
  }
  return found ? 0 : 1;
}

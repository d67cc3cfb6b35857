// Forked workers that share a table process events, one each whenever a line comes. Prints its process and
// theirs, for every event the seconds that each worker took, and at the end of its input the workers' sum.
//
// events KIND MB WORKERS EVENTS; KIND is what an event does to the table:
//   pointers   2000 shared_ptrs are copied and dropped
//   mixed      50, or 20,000 in every tenth event, in which 20 entries are changed for good
//   rewrite    the next EVENTS-th part of the table is changed for good, by each worker in its own way
//   alike      the same, by all in the same way
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Entry {
  explicit Entry(std::size_t n) : name("channel " + std::to_string(n)), values(20, double(n)) {}
  std::string name;
  std::vector<double> values;
};
using Table = std::vector<std::shared_ptr<Entry>>;

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t end) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return std::size_t(state_ >> 33) % end;
  }

 private:
  std::uint64_t state_;
};

double look_up(const Table& table, Random random, int times) {
  double sum = 0;
  std::vector<std::shared_ptr<const Entry>> held;
  for (int i = 0; i < times; ++i) {
    held.push_back(table[random.below(table.size())]);
    sum += held.back()->values[std::size_t(i) % 20] + double(held.back()->name.size());
    if (held.size() > 100) held.clear();
  }
  return sum;
}

void change(Entry& entry, std::uint64_t event) {
  for (double& value : entry.values) value += double(event);
}

double process(const std::string& kind, Table& table, std::uint64_t event, std::uint64_t events,
               std::uint64_t worker) {
  Random random(event * 100 + worker);
  if (kind == "pointers") return look_up(table, random, 2000);
  if (kind == "rewrite" || kind == "alike") {
    const std::uint64_t way = kind == "alike" ? 0 : worker;
    const std::size_t begin = event * table.size() / events, end = (event + 1) * table.size() / events;
    for (std::size_t n = begin; n < end && n < table.size(); ++n) change(*table[n], way * events + event + 1);
    return look_up(table, random, 50);
  }
  const bool heavy = event % 10 == 9;
  if (heavy)
    for (int i = 0; i < 20; ++i) change(*table[random.below(table.size())], event);
  return look_up(table, random, heavy ? 20000 : 50);
}

/// By system calls: no stream has a copy of its own.
template <typename T>
bool get(int fd, T& value) {
  return read(fd, &value, sizeof value) == sizeof value;
}
template <typename T>
bool put(int fd, const T& value) {
  return write(fd, &value, sizeof value) == sizeof value;
}

struct Worker {
  pid_t pid;
  int to;
  int from;
};

[[noreturn]] void serve(const std::string& kind, Table& table, std::uint64_t events, std::uint64_t worker,
                        int from, int to) {
  std::uint64_t event;
  double sum = 0;
  while (get(from, event)) {
    const auto began = std::chrono::steady_clock::now();
    sum += process(kind, table, event, events, worker);
    const double answer[2] = {std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(),
                              sum};
    if (!put(to, answer)) break;
  }
  _exit(0);
}

Worker start(const std::string& kind, Table& table, std::uint64_t events, std::uint64_t number) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) std::exit(1);
  const pid_t pid = fork();
  if (pid == 0) {
    close(to[1]);
    close(from[0]);
    serve(kind, table, events, number, to[0], from[1]);
  }
  close(to[0]);
  close(from[1]);
  return {pid, to[1], from[0]};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  std::ios::sync_with_stdio(false);
  const std::string kind = argv[1];
  const std::size_t megabytes = std::strtoull(argv[2], nullptr, 10),
                    number = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t events = std::strtoull(argv[4], nullptr, 10);
  Table table(megabytes * 1000000 / 290);
  for (std::size_t n = 0; n < table.size(); ++n) table[n] = std::make_shared<Entry>(n);
  std::vector<Worker> workers;
  for (std::size_t n = 0; n < number; ++n) workers.push_back(start(kind, table, events, n));
  std::cout << getpid();
  for (const Worker& worker : workers) std::cout << ' ' << worker.pid;
  std::cout << std::endl;
  std::vector<double> sums(number);
  std::string line;
  for (std::uint64_t event = 0; std::getline(std::cin, line); ++event) {
    for (const Worker& worker : workers)
      if (!put(worker.to, event)) return 1;
    for (std::size_t n = 0; n < number; ++n) {
      double answer[2];
      if (!get(workers[n].from, answer)) return 1;
      std::cout << answer[0] << ' ';
      sums[n] = answer[1];
    }
    std::cout << std::endl;
  }
  double sum = 0;
  for (const double one : sums) sum += one;
  std::cout << std::fixed << std::setprecision(1) << sum << std::endl;
  for (const Worker& worker : workers) close(worker.to);
  while (wait(nullptr) > 0) {
  }
  return 0;
}

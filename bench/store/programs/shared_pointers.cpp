// Constants behind shared pointers; forked workers of several threads copy and drop them: counts go up and
// down. shared_pointers MB WORKERS THREADS REQUESTS. The same conversation as prefork.pl's.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Constant {
  explicit Constant(std::size_t n) : name("channel " + std::to_string(n)), values(20, double(n)) {}
  std::string name;
  std::vector<double> values;
};
using Table = std::vector<std::shared_ptr<const Constant>>;

double look_up(const Table& table, std::uint64_t seed) {
  double sum = 0;
  std::vector<std::shared_ptr<const Constant>> held;
  for (int i = 0; i < 500; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    held.push_back(table[(seed >> 33) % table.size()]);
    sum += held.back()->values[i % 20] + double(held.back()->name.size());
  }
  return sum;
}

void serve(const Table& table, int threads, int asked, int answer) {
  std::uint64_t request;
  while (read(asked, &request, sizeof request) == sizeof request) {
    std::vector<double> sums(threads);
    std::vector<std::thread> team;
    for (int t = 0; t < threads; ++t)
      team.emplace_back([&, t] { sums[t] = look_up(table, request * 100 + t); });
    for (std::thread& thread : team) thread.join();
    double sum = 0;
    for (const double one : sums) sum += one;
    if (write(answer, &sum, sizeof sum) != sizeof sum) break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::size_t megabytes = std::strtoull(argv[1], nullptr, 10);
  const int workers = std::atoi(argv[2]), threads = std::atoi(argv[3]), requests = std::atoi(argv[4]);
  Table table(megabytes * 1000000 / 290);
  for (std::size_t n = 0; n < table.size(); ++n) table[n] = std::make_shared<const Constant>(n);
  std::vector<int> ask(workers), answered(workers);
  for (int w = 0; w < workers; ++w) {
    int to[2], from[2];
    if (pipe(to) || pipe(from)) return 1;
    if (fork() == 0) {
      close(to[1]);
      for (int i = 0; i < w; ++i) close(ask[i]);
      serve(table, threads, to[0], from[1]);
      _exit(0);
    }
    close(to[0]);
    close(from[1]);
    ask[w] = to[1];
    answered[w] = from[0];
  }
  std::printf("%d\n", int(getpid()));
  std::fflush(stdout);
  char line;
  if (read(STDIN_FILENO, &line, 1) != 1) return 1;  // as a server waits
  double sum = 0;
  std::vector<double> times;
  for (std::uint64_t request = 0; request < std::uint64_t(requests); ++request) {
    const auto began = std::chrono::steady_clock::now();
    for (const int to : ask)
      if (write(to, &request, sizeof request) != sizeof request) return 1;
    for (const int from : answered) {
      double one;
      if (read(from, &one, sizeof one) != sizeof one) return 1;
      sum += one;
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    usleep(20000);
  }
  std::printf("%.1f", sum);
  for (const double time : times) std::printf(" %.6f", time);
  std::printf("\n");
  std::fflush(stdout);
  if (read(STDIN_FILENO, &line, 1) != 1) return 1;
  for (const int to : ask) close(to);
  while (wait(nullptr) > 0) {
  }
  return 0;
}

// bench-heap-churn: builds constants, forks workers that process events, and holds every worker before the
// first event and after each, so that whoever started it can measure them.
//
// Protocol. Each worker owns one inherited descriptor of --go. It writes a line "worker pid event wall_ns
// cpu_ns" to stdout (the times of the event just finished) and then waits for one byte on its descriptor; end
// of file ends it. Holding allocates nothing. Without --go the program processes the events itself, is never
// held, settles after initialisation, and prints one line: peak RSS in kB.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "clock.hpp"
#include "conditions.hpp"
#include "memory.hpp"
#include "run.hpp"
#include "settle.hpp"
#include "worker.hpp"

namespace samepage {
namespace {

/// False when the measuring side has gone or wants no more.
bool hold(int worker, int go, std::uint32_t event, std::int64_t wall, std::int64_t cpu) {
  char line[128];
  const int length = std::snprintf(line, sizeof line, "%d %d %u %lld %lld\n", worker, getpid(), event,
                                   static_cast<long long>(wall), static_cast<long long>(cpu));
  char byte = 0;
  return write(STDOUT_FILENO, line, static_cast<std::size_t>(length)) == length && read(go, &byte, 1) == 1;
}

void work(Conditions& conditions, const WorkerOptions& options, int number, int go, std::uint32_t events) {
  if (!hold(number, go, 0, 0, 0)) return;
  Worker worker(conditions, options, static_cast<std::uint64_t>(number) + 1);
  for (std::uint32_t event = 1; event <= events; ++event) {
    const std::int64_t wall = wall_ns(), cpu = cpu_ns();
    worker.process();
    if (!hold(number, go, event, wall_ns() - wall, cpu_ns() - cpu)) return;
  }
}

/// Forks one worker per descriptor and waits for all; true when each ended well.
bool run_workers(Conditions& conditions, const WorkerOptions& options, const std::vector<int>& go,
                 std::uint32_t events) {
  for (std::size_t number = 0; number < go.size(); ++number) {
    const pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
      work(conditions, options, static_cast<int>(number), go[number], events);
      _exit(0);
    }
  }
  bool good = true;
  int status = 0;
  while (wait(&status) > 0) good = good && status == 0;
  return good;
}

void run_alone(Conditions& conditions, const WorkerOptions& options, std::uint32_t events) {
  settle_if_samepage();
  Worker worker(conditions, options, 1);
  for (std::uint32_t event = 0; event < events; ++event) worker.process();
  std::printf("%ld\n", status_kb("VmHWM:"));
}

}  // namespace

int run(int argc, char** argv) {
  std::uint32_t channels = 1'000'000, events = 50;
  std::vector<int> go;
  WorkerOptions options;
  CLI::App app("Constants, workers and events under the allocator that is preloaded; see bench/heap/run.");
  app.add_option("--channels", channels, "constants: channels of about 230 bytes");
  app.add_option("--events", events, "events per worker");
  app.add_option("--go", go, "inherited descriptors, one per worker; without any the program works alone")
      ->delimiter(',');
  app.add_option("--allocations", options.allocations, "short-lived allocations per event");
  app.add_option("--threads", options.threads, "threads per worker")->check(CLI::PositiveNumber);
  app.add_option("--fresh-threads", options.fresh_threads, "threads started anew for each event");
  app.add_option("--replaced", options.replaced, "constants freed and replaced per event");
  CLI11_PARSE(app, argc, argv);

  Random random(2009);
  Conditions conditions(channels, random);
  if (go.empty()) {
    run_alone(conditions, options, events);
    return 0;
  }
  return run_workers(conditions, options, go, events) ? 0 : 1;
}

}  // namespace samepage

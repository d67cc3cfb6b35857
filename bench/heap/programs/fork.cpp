// bench-heap-fork: what fork and exec cost under the allocator that is preloaded. Prints one line of JSON:
// arrays of nanoseconds, one element per repetition, and what else the mode tells.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "clock.hpp"
#include "memory.hpp"
#include "random.hpp"
#include "run.hpp"

namespace samepage {
namespace {

using Blocks = std::vector<std::unique_ptr<char[]>>;

/// Blocks of 64 to 8192 bytes, every byte written, `bytes` in all.
Blocks touched_blocks(std::size_t bytes) {
  Random random(1);
  Blocks blocks;
  for (std::size_t made = 0; made < bytes;) {
    const std::uint32_t size = random.between(64, 8192);
    std::unique_ptr<char[]> block(new char[size]);
    std::memset(block.get(), 1, size);
    blocks.push_back(std::move(block));
    made += size;
  }
  return blocks;
}

void allocate_and_free_a_little() {
  touched_blocks(std::size_t{64} << 10);
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

pid_t fork_or_give_up() {
  const pid_t pid = fork();
  if (pid < 0) give_up("fork");
  return pid;
}

void wait_for(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) give_up("child");
}

/// fork, exec of `program` (bench-heap-main) and wait, `count` times.
nlohmann::json exec_loop(const std::string& program, std::size_t count) {
  std::vector<std::int64_t> whole, to_main;
  int ends[2];
  if (pipe(ends) != 0) give_up("pipe");
  const std::string fd = std::to_string(ends[1]);
  allocate_and_free_a_little();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t start = wall_ns();
    const pid_t pid = fork_or_give_up();
    if (pid == 0) {
      char now[32];
      std::snprintf(now, sizeof now, "%lld", static_cast<long long>(wall_ns()));
      execl(program.c_str(), program.c_str(), now, fd.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    wait_for(pid);
    whole.push_back(wall_ns() - start);
    std::int64_t elapsed = 0;
    if (read(ends[0], &elapsed, sizeof elapsed) != sizeof elapsed) give_up("bench-heap-main");
    to_main.push_back(elapsed);
  }
  return {{"fork_exec_wait_ns", whole}, {"exec_to_main_ns", to_main}};
}

/// fork of a process that has touched `megabytes`, `count` times; the child exits at once.
nlohmann::json large(std::size_t megabytes, std::size_t count) {
  const Blocks blocks = touched_blocks(megabytes << 20);
  std::vector<std::int64_t> forks, whole;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t start = wall_ns();
    const pid_t pid = fork_or_give_up();
    if (pid == 0) _exit(0);
    forks.push_back(wall_ns() - start);
    wait_for(pid);
    whole.push_back(wall_ns() - start);
  }
  return {{"fork_ns", forks}, {"fork_exit_wait_ns", whole}, {"rss_kb", status_kb("VmRSS:")}};
}

/// What a generation tells: the time from its parent's fork until it had allocated and freed, and its own
/// memory.
struct Generation {
  std::int64_t ready_ns;
  long rss_kb;
};

/// Memory that a whole line of processes shares, and that lies outside every allocator.
Generation* shared_generations(std::size_t count) {
  void* memory =
      mmap(nullptr, count * sizeof(Generation), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) give_up("mmap");
  return static_cast<Generation*>(memory);
}

nlohmann::json described(const Generation* generations, std::size_t count) {
  std::vector<std::int64_t> ready;
  std::vector<long> rss;
  for (std::size_t i = 0; i < count; ++i) {
    if (generations[i].rss_kb == 0) give_up("a generation that never ran");
    ready.push_back(generations[i].ready_ns);
    rss.push_back(generations[i].rss_kb);
  }
  return {{"ready_ns", ready}, {"rss_kb", rss}};
}

void born(Generation& generation, std::int64_t forked_at) {
  allocate_and_free_a_little();
  generation.ready_ns = wall_ns() - forked_at;
  generation.rss_kb = status_kb("VmRSS:");
}

/// A chain: each process allocates and frees a little, forks the next one and exits.
nlohmann::json chain(std::size_t count) {
  Generation* generations = shared_generations(count);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) give_up("prctl");
  const Blocks kept = touched_blocks(std::size_t{8} << 20);
  const pid_t first = getpid();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t start = wall_ns();
    if (fork_or_give_up() == 0) {
      born(generations[i], start);
    } else if (getpid() == first) {
      break;
    } else {
      _exit(0);
    }
  }
  if (getpid() != first) _exit(0);
  while (wait(nullptr) > 0) {
  }
  return described(generations, count);
}

/// One parent that forks children one after another, as a prefork server replaces its workers.
nlohmann::json children(std::size_t count) {
  Generation* generations = shared_generations(count);
  const Blocks kept = touched_blocks(std::size_t{8} << 20);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t start = wall_ns();
    const pid_t pid = fork_or_give_up();
    if (pid == 0) {
      born(generations[i], start);
      _exit(0);
    }
    wait_for(pid);
    allocate_and_free_a_little();
  }
  return described(generations, count);
}

}  // namespace

int run(int argc, char** argv) {
  std::size_t count = 1, megabytes = 1024;
  std::string program;
  CLI::App app("What fork and exec cost under the allocator that is preloaded; see bench/heap/run.");
  app.require_subcommand(1);
  auto mode = [&](const char* name, const char* help) {
    CLI::App* made = app.add_subcommand(name, help);
    made->add_option("--count", count, "repetitions")->check(CLI::PositiveNumber);
    return made;
  };
  mode("exec", "fork + exec + wait")->add_option("PROGRAM", program, "path of bench-heap-main")->required();
  mode("large", "fork of a large process")
      ->add_option("--megabytes", megabytes, "memory that it has touched");
  mode("chain", "each child forks the next");
  mode("children", "one parent, one child after another");
  CLI11_PARSE(app, argc, argv);

  nlohmann::json result;
  if (app.got_subcommand("exec")) result = exec_loop(program, count);
  if (app.got_subcommand("large")) result = large(megabytes, count);
  if (app.got_subcommand("chain")) result = chain(count);
  if (app.got_subcommand("children")) result = children(count);
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace samepage

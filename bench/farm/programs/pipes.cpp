// Plain fork: a pipe to each worker, one pipe back.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "task.hpp"

namespace {

void put(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = write(fd, bytes.data(), bytes.size());
    if (done <= 0) std::exit(1);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

bool get(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = read(fd, bytes.data(), bytes.size());
    if (done <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

void large_pipe(int (&ends)[2]) {
  if (pipe(ends) < 0) std::exit(1);
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Settings settings = bench::settings(argc, argv);
  bench::Counter counter(settings);
  int back[2];
  large_pipe(back);
  std::vector<int> to_worker, at_worker;
  for (unsigned i = 0; i < settings.workers; ++i) {
    int ends[2];
    large_pipe(ends);
    at_worker.push_back(ends[0]);
    to_worker.push_back(ends[1]);
  }
  counter.start();
  bench::fork_workers(settings.workers, [&](unsigned index) {
    for (const int fd : to_worker) close(fd);
    std::vector<std::byte> event(settings.bytes);
    while (get(at_worker[index], event)) {
      const bench::Answer answer = bench::answer(event);
      put(back[1], std::as_bytes(std::span(&answer, 1)));
    }
  });
  {
    const std::jthread collector([&] {
      std::vector<bench::Answer> answers(1);
      while (counter.taken() < settings.events && get(back[0], std::as_writable_bytes(std::span(answers))))
        counter.take(answers.front());
    });
    std::vector<std::byte> event(settings.bytes);
    for (std::uint64_t number = 0; number < settings.events; ++number) {
      bench::pause(settings);
      bench::make_event(number, event);
      put(to_worker[number % settings.workers], event);
    }
  }
  for (const int fd : to_worker) close(fd);
  bench::wait_for_workers();
  counter.report();
}

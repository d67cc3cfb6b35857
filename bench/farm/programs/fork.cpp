// Fork of a template that holds so much: a million objects, sealed into the store if the heap is there.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "samepage/samepage.h"
#include "task.hpp"

namespace {

double median_ms(std::vector<std::uint64_t>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return 1e-6 * static_cast<double>(*middle);
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t megabytes = 1024;
  bool seal = false, in_store = false;
  CLI::App app("Forks a large template");
  app.add_option("--megabytes", megabytes);
  app.add_flag("--seal", seal);
  app.add_flag("--in-store", in_store, "allocate in the store");
  CLI11_PARSE(app, argc, argv);
  if (in_store && samepage_allocate_in_store() != SAMEPAGE_OK) return 1;
  const std::uint64_t starting = bench::now_ns();
  std::vector<std::unique_ptr<std::vector<std::byte>>> objects;
  for (std::size_t i = 0; i < megabytes << 10; ++i)
    objects.push_back(std::make_unique<std::vector<std::byte>>(1000, static_cast<std::byte>(i)));
  const std::uint64_t sealing = bench::now_ns();
  const double init_s = 1e-9 * static_cast<double>(sealing - starting);
  if (seal && samepage_seal() != SAMEPAGE_OK) return 1;
  const double seal_s = 1e-9 * static_cast<double>(bench::now_ns() - sealing);
  std::vector<std::uint64_t> forks, ends;
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t began = bench::now_ns();
    const pid_t child = fork();
    if (child == 0) _exit(0);
    forks.push_back(bench::now_ns() - began);
    waitpid(child, nullptr, 0);
    ends.push_back(bench::now_ns() - began);
  }
  std::printf("{\"fork_ms\": %.3f, \"fork_exit_wait_ms\": %.3f, \"init_s\": %.3f, \"seal_s\": %.3f}\n",
              median_ms(forks), median_ms(ends), init_s, seal_s);
}

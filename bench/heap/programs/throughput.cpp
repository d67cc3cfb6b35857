// bench-heap-throughput: one allocator workload under the allocator that is preloaded. A tenth of the work
// warms up (initialisation, so to speak; --settle then ends it), the rest is timed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clock.hpp"
#include "memory.hpp"
#include "run.hpp"
#include "settle.hpp"
#include "workloads.hpp"

namespace samepage {
namespace {

nlohmann::json list() {
  auto all = nlohmann::json::array();
  for (const Workload& workload : workloads())
    all.push_back({{"name", workload.name}, {"threads", workload.threads}});
  return all;
}

nlohmann::json measure(const Workload& workload, double scale, bool settle) {
  const auto amount = std::max(10U, static_cast<std::uint32_t>(scale * workload.amount));
  workload.run(amount / 10);
  if (settle) settle_if_samepage();
  workload.run(amount / 10);  // again: after settle memory comes from other pages, which are as cold
  const std::int64_t wall = wall_ns(), cpu = cpu_ns();
  workload.run(amount);
  return {{"wall_ns", wall_ns() - wall}, {"cpu_ns", cpu_ns() - cpu}, {"peak_rss_kb", status_kb("VmHWM:")}};
}

}  // namespace

int run(int argc, char** argv) {
  std::size_t index = 0;
  double scale = 1;
  bool settle = false;
  CLI::App app("One allocator workload under the allocator that is preloaded; see bench/heap/run.");
  app.add_option("INDEX", index, "which workload; without it they are listed")
      ->check(CLI::Range(std::size_t{0}, workloads().size() - 1));
  app.add_option("--scale", scale, "amount of work, 1 is about 0.3 s");
  app.add_flag("--settle", settle, "settle Samepage's heap after the warm-up");
  CLI11_PARSE(app, argc, argv);
  const nlohmann::json result = app.count("INDEX") > 0 ? measure(workloads()[index], scale, settle) : list();
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace samepage

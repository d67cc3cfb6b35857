#include "cli/why.hpp"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <samepage/census.hpp>

#include "cli/selection.hpp"
#include "linux/descriptor_limit.hpp"
#include "linux/priority.hpp"
#include "linux/usage_error.hpp"
#include "report/atomic_file.hpp"
#include "report/why_report.hpp"

namespace samepage {
namespace {

constexpr const char* kExamples = R"(
Examples:
  samepage why gunicorn
  samepage why --tree 4711
  samepage why 4711 4712 --json why.json
  sudo samepage why --all --sample 5

The processes run on, and are not changed in any way.
Exit status: 0; 1 none of them could be looked at; 2 wrong usage, or no such
process; 130 interrupted.
)";

struct WhyOptions {
  Selection whom;
  double sample = 100;
  std::optional<std::string> json;
};

std::atomic<bool> interrupted{false};

int why(const WhyOptions& options) {
  if (!(options.sample > 0 && options.sample <= 100))
    throw UsageError(
        fmt::format("--sample {}: must be more than 0 and at most 100 per cent", options.sample));
  CensusOptions census_options;
  census_options.sample = options.sample / 100;
  census_options.cancelled = [] { return interrupted.load(std::memory_order_relaxed); };
  if (options.whom.empty())
    throw UsageError("why: which processes? PIDs, a name, --tree, --user, --cgroup or --all");
  const std::vector<pid_t> pids = options.whom.pids();
  give_way();                // to those that are looked at
  allow_many_descriptors();  // two are open for each process
  std::signal(SIGINT, [](int) { interrupted = true; });
  const Census census = take_census(pids, census_options);
  if (interrupted) return 130;
  if (options.json && *options.json != "-") write_atomically(*options.json, why_json(census));
  fmt::print("{}", options.json && *options.json == "-" ? why_json(census) : why_table(census));
  return census.rss ? 0 : 1;
}

}  // namespace

void add_why(CLI::App& app, int& status) {
  auto options = std::make_shared<WhyOptions>();
  CLI::App* why_app = app.add_subcommand(
      "why", "what processes hold that is the same, what is shared, and why the rest is not");
  why_app->footer(kExamples);
  add_selection(*why_app, options->whom);
  why_app->add_option("--sample", options->sample, "look at a part of the memory only (100)")
      ->type_name("PERCENT");
  why_app->add_option("--json", options->json, "write the result as data; - for standard output")
      ->type_name("FILE");
  why_app->callback([options, &status] { status = why(*options); });
}

}  // namespace samepage

#include "cli/watchdog.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "linux/usage_error.hpp"
#include "report/atomic_file.hpp"
#include "watchdog/daemon.hpp"
#include "watchdog/trace.hpp"

namespace samepage {
namespace {

constexpr const char* kConfig = "/etc/samepage/watchdog.toml";
constexpr const char* kExamples = R"(
Examples:
  sudo samepage watchdog --dry-run
  sudo samepage watchdog --config watchdog.toml --metrics /var/lib/node_exporter/samepage.prom
  samepage watchdog --replay trace.jsonl

Without rules it adopts nothing, and merges for programs that opted in by themselves.
Exit status: 0 after SIGTERM or SIGINT; 1 it cannot run here; 2 wrong usage or rules.
)";

struct Options {
  std::optional<std::filesystem::path> config, record, replay, metrics;
  bool dry_run = false;
};

/// The journal adds the time by itself.
void log_line(const std::string& line) {
  if (std::getenv("JOURNAL_STREAM"))
    fmt::print(stderr, "{}\n", line);
  else
    fmt::print(stderr, "{:%FT%T}Z {}\n",
               fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())), line);
}

WatchdogConfig config_of(const Options& options) {
  if (options.config) return read_config(*options.config);
  return std::filesystem::exists(kConfig) ? read_config(kConfig) : WatchdogConfig();
}

int watchdog(const Options& options) {
  if (options.replay) {
    replay_trace(*options.replay, [](double seconds, const Decision& decision) {
      fmt::print("{:10.2f} s  {}\n", seconds, text_of(decision));
    });
    return 0;
  }
  WatchdogOptions daemon;
  daemon.config = config_of(options);
  daemon.read_config = [&options] { return config_of(options); };
  if (options.metrics) expect_writable(*options.metrics);
  daemon.registrar = whole_process_registrar();
  daemon.dry_run = options.dry_run;
  daemon.record = options.record;
  daemon.metrics = options.metrics;
  daemon.log = log_line;
  daemon.write_file = write_atomically;
  run_watchdog(daemon);
  return 0;
}

}  // namespace

void add_watchdog(CLI::App& app, int& status) {
  auto options = std::make_shared<Options>();
  CLI::App* watchdog_app =
      app.add_subcommand("watchdog", "a daemon that lets the kernel merge equal pages when that pays (root)");
  watchdog_app->footer(kExamples);
  watchdog_app
      ->add_option("--config", options->config, fmt::format("rules and limits ({}, if it is there)", kConfig))
      ->type_name("FILE");
  watchdog_app->add_flag("--dry-run", options->dry_run, "only say what would be done");
  watchdog_app->add_option("--metrics", options->metrics, "keep Prometheus metrics in FILE")
      ->type_name("FILE");
  watchdog_app->add_option("--record", options->record, "write every look at the host to FILE")
      ->type_name("FILE");
  watchdog_app
      ->add_option("--replay", options->replay, "print what the policy decides on a recorded trace, and end")
      ->type_name("FILE")
      ->excludes("--config", "--dry-run", "--metrics", "--record");
  watchdog_app->callback([options, &status] { status = watchdog(*options); });
}

}  // namespace samepage

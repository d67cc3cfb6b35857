#include "cli/ksm.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/selection.hpp"
#include "ksm/overview.hpp"
#include "ksm/resting.hpp"
#include "linux/proc_fs.hpp"
#include "linux/usage_error.hpp"
#include "report/adopt_report.hpp"
#include "report/atomic_file.hpp"
#include "report/human_size.hpp"
#include "report/ksm_report.hpp"

namespace samepage {
namespace {

constexpr const char* kExamples = R"(
Examples:
  samepage ksm status
  sudo samepage ksm on
  sudo samepage ksm unmerge 4711

on and off set what holds while no samepage run, farm or watchdog has ksmd work fast; a burst that is under way
goes on, and ends in what was set. Off keeps what is merged.
Exit status: 0; 1 it could not be done; 2 wrong usage.
)";

constexpr const char* kUnmergeExamples = R"(
Examples:
  sudo samepage ksm unmerge               all processes that are registered, after asking
  sudo samepage ksm unmerge redis-server --yes
  sudo samepage ksm unmerge --host        the kernel un-merges the whole host, and KSM stays off

Every merged page takes memory of its own again. Nothing is done unless that much is free.
)";

// Left free, beside what the pages need.
constexpr std::uint64_t kReserve = 128 << 20;

struct KsmOptions {
  KsmPlaces places;
  std::optional<std::string> json;
  std::vector<std::string> names;
  bool yes = false, host = false;
};

void write_or_print(const KsmOptions& options, const std::string& text, const std::string& json) {
  if (options.json && *options.json != "-") write_atomically(*options.json, json);
  fmt::print("{}", options.json && *options.json == "-" ? json : text);
}

void check_json(const KsmOptions& options) {
  if (options.json && *options.json != "-") expect_writable(*options.json);
}

int show(const KsmOptions& options) {
  check_json(options);
  const KsmOverview overview = ksm_overview(options.places);
  write_or_print(options, ksm_table(overview), ksm_json(overview));
  return overview.present ? 0 : 1;
}

int turn(bool on, const KsmOptions& options) {
  check_json(options);
  const RestingResult result = set_resting(on, options.places);
  if (!result.done) throw UsageError(result.why_not, 1);
  std::string text = on ? "KSM is on\n" : "KSM is off; what was merged stays merged\n";
  for (const pid_t holder : result.holders)
    text = fmt::format("KSM will be {} when the burst of process {} ends\n", on ? "on" : "off", holder);
  const nlohmann::ordered_json json = {
      {"resting", on ? "on" : "off"}, {"now", result.holders.empty()}, {"holders", result.holders}};
  write_or_print(options, text, json.dump(2) + "\n");
  return 0;
}

void ask(const KsmOptions& options, const std::string& what) {
  if (options.yes) return;
  if (!isatty(STDIN_FILENO))
    throw UsageError(fmt::format("unmerge: {}? Say --yes where nobody can be asked", what));
  fmt::print(stderr, "{}? [y/N] ", what);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "Y" && answer != "yes") throw UsageError("nothing was un-merged", 1);
}

void expect_room(std::uint64_t needed, const KsmOptions& options) {
  const auto available_kb = ProcFs(options.places.proc).meminfo().available;
  if (available_kb && needed + kReserve > *available_kb * 1024)
    throw UsageError(fmt::format("un-merging needs {}, and {} of memory are free", human_size(needed / 1024),
                                 human_size(*available_kb)),
                     1);
}

void expect_nobody_bursts(const KsmOverview& overview) {
  if (!overview.holders.empty())
    throw UsageError(fmt::format("process {} has ksmd merge just now; try again when that has ended",
                                 overview.holders.front()),
                     1);
}

int unmerge_host(const KsmOptions& options, const KsmOverview& overview) {
  const KsmSysfs sysfs(options.places.sysfs);
  if (!options.names.empty()) throw UsageError("--host: means all processes; name none");
  if (sysfs.writable(KsmSetting::run) != KsmAccess::ok) throw UsageError("only root may set KSM", 1);
  expect_nobody_bursts(overview);
  expect_room(overview.saved.value_or(0), options);
  ask(options, fmt::format("Un-merge all of this host, {}, and keep KSM off",
                           human_size(overview.saved.value_or(0) / 1024)));
  if (sysfs.unmerge_host() != KsmAccess::ok) throw UsageError("the kernel did not un-merge everything", 1);
  const nlohmann::ordered_json json = {{"host", true}, {"bytes", overview.saved.value_or(0)}};
  write_or_print(options,
                 fmt::format("un-merged {}; KSM is off until samepage ksm on\n",
                             human_size(overview.saved.value_or(0) / 1024)),
                 json.dump(2) + "\n");
  return 0;
}

int unmerge_processes(const KsmOptions& options, const KsmOverview& overview) {
  std::vector<KsmProcess> chosen = overview.processes;
  if (!options.names.empty()) {
    Selection selection;
    selection.names = options.names;
    const std::vector<pid_t> pids = selection.pids();
    std::erase_if(chosen, [&](const KsmProcess& process) {
      return std::find(pids.begin(), pids.end(), process.pid) == pids.end();
    });
  }
  std::uint64_t merged = 0;
  for (const KsmProcess& process : chosen) merged += process.merged.value_or(0) + process.zero.value_or(0);
  std::vector<AdoptedProcess> processes;
  if (!chosen.empty()) {
    expect_room(merged, options);
    ask(options, fmt::format("Un-merge {} of {} {}", human_size(merged / 1024), chosen.size(),
                             chosen.size() == 1 ? "process" : "processes"));
  }
  processes.reserve(chosen.size());
  for (const KsmProcess& process : chosen)
    processes.push_back({process.pid, process.name, 0, std::nullopt, release(process.pid)});
  std::string nobody = "no such process is registered\n";
  if (overview.hidden_processes)
    nobody += fmt::format("{} processes of others are not seen; root sees them\n", overview.hidden_processes);
  write_or_print(options, processes.empty() ? nobody : release_table(processes), adopt_json(processes));
  if (processes.empty() && overview.hidden_processes && !options.names.empty()) return 1;
  for (const AdoptedProcess& process : processes)
    if (!process.result) return 1;
  return 0;
}

int unmerge(const KsmOptions& options) {
  check_json(options);
  KsmLease::repair(options.places);
  const KsmOverview overview = ksm_overview(options.places);
  if (!overview.present) throw UsageError("this kernel has no KSM", 1);
  return options.host ? unmerge_host(options, overview) : unmerge_processes(options, overview);
}

CLI::App* add(CLI::App& ksm, const std::shared_ptr<KsmOptions>& options, const char* name, const char* what) {
  CLI::App* added = ksm.add_subcommand(name, what);
  added->add_option("--json", options->json, "write the result as data; - for standard output")
      ->type_name("FILE");
  // For tests: other places than the host's.
  added->add_option("--sysfs", options->places.sysfs)->group("");
  added->add_option("--proc", options->places.proc)->group("");
  added->add_option("--run", options->places.run)->group("");
  return added;
}

}  // namespace

void add_ksm(CLI::App& app, int& status) {
  auto options = std::make_shared<KsmOptions>();
  CLI::App* ksm =
      app.add_subcommand("ksm", "the kernel's Samepage Merging: what it saves and costs; on, off");
  ksm->footer(kExamples);
  ksm->require_subcommand(1);
  add(*ksm, options, "status", "settings, counters and what they mean, processes by profit")
      ->callback([options, &status] { status = show(*options); });
  add(*ksm, options, "on", "merge at the kernel's pace")->callback([options, &status] {
    status = turn(true, *options);
  });
  add(*ksm, options, "off", "merge no more, and keep what is merged")->callback([options, &status] {
    status = turn(false, *options);
  });
  CLI::App* undo = add(*ksm, options, "unmerge", "give processes their merged pages back, and release them");
  undo->footer(kUnmergeExamples);
  undo->add_option("process", options->names, "PIDs, or names as in ps (all that are registered)")
      ->type_name("PID|NAME");
  undo->add_flag("--yes", options->yes, "do not ask");
  undo->add_flag("--host", options->host, "all of the host at once, by the kernel");
  undo->callback([options, &status] { status = unmerge(*options); });
}

}  // namespace samepage

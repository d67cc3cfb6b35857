#include "cli/adopt.hpp"

#include <fmt/format.h>

#include <memory>
#include <samepage/census.hpp>
#include <set>

#include "cli/selection.hpp"
#include "linux/ksm_sysfs.hpp"
#include "linux/proc_fs.hpp"
#include "linux/usage_error.hpp"
#include "report/adopt_report.hpp"
#include "report/atomic_file.hpp"

namespace samepage {
namespace {

constexpr const char* kAdoptExamples = R"(
Examples:
  sudo samepage adopt redis-server        the memory that these have in common
  samepage adopt 4711 4712 --dry-run      only say what would be registered
  sudo samepage adopt 4711 --whole        all that it has and will have

The processes run on; each is stopped for about a millisecond. Nothing is merged before KSM runs: samepage ksm on.
Exit status: 0; 1 if a process was refused; 2 wrong usage.
)";

constexpr const char* kReleaseExamples = R"(
Examples:
  sudo samepage release redis-server
  sudo samepage release 4711 --json -

Takes all memory of the processes out of KSM, whoever registered it; what was merged takes its own memory again.
Exit status: 0; 1 if a process was refused; 2 wrong usage.
)";

struct AdoptOptions {
  Selection selection;
  bool whole = false, dry_run = false;
  std::optional<std::string> json;
};

std::string name_of_process(pid_t pid) {
  const auto stat = ProcFs().stat(pid);
  return stat ? stat->comm : "";
}

std::vector<pid_t> whom(const Selection& selection, const char* subcommand) {
  if (selection.empty())
    throw UsageError(
        fmt::format("{}: which processes? PIDs, a name, --tree, --user, --cgroup or --all", subcommand));
  return selection.pids();
}

void require_ksm() {
  if (KsmSysfs().read(KsmSetting::run).access == KsmAccess::missing)
    throw UsageError("this kernel has no KSM", 1);
}

int tell(const std::vector<AdoptedProcess>& processes, const AdoptOptions& options,
         const std::string& table) {
  if (options.json && *options.json != "-") write_atomically(*options.json, adopt_json(processes));
  fmt::print("{}", options.json && *options.json == "-" ? adopt_json(processes) : table);
  for (const AdoptedProcess& process : processes)
    if (!process.result) return 1;
  return 0;
}

std::vector<AdoptedProcess> adopt_worth(const std::vector<pid_t>& pids, bool dry_run) {
  std::vector<AdoptedProcess> processes;
  for (const CensusProcess& found : take_census(pids).processes) {
    AdoptedProcess& process = processes.emplace_back();
    process.pid = found.pid;
    process.name = found.name;
    process.worth_bytes = 0;
    std::vector<AddressRange> ranges;
    for (const CensusRange& range : found.worth) {
      ranges.push_back({range.start, range.end});
      *process.worth_bytes += range.bytes;
      process.result.bytes += range.end - range.start;
    }
    process.ranges = ranges.size();
    // One that could not be looked at says why when it is asked for a call that changes nothing.
    if (!dry_run && (!ranges.empty() || !found.trouble.empty()))
      process.result = adopt_ranges(found.pid, ranges);
    if (found.rss == 0 && process.result) {
      process.result.state = AdoptResult::State::refused;
      process.result.why = fmt::format("process {}: {}", found.pid,
                                       found.trouble.empty() ? "it has no memory of its own" : found.trouble);
    }
  }
  return processes;
}

std::vector<AdoptedProcess> adopt_all(const std::vector<pid_t>& pids) {
  std::vector<AdoptedProcess> processes;
  for (const pid_t pid : pids) {
    const std::string name = name_of_process(pid);
    processes.push_back({pid, name, 0, std::nullopt, adopt_whole(pid)});
  }
  return processes;
}

/// KSM merges across processes without asking whose they are.
void note_different_users(const std::vector<pid_t>& pids) {
  std::set<std::uint64_t> users;
  for (const pid_t pid : pids)
    if (const auto status = ProcFs().status(pid); status && status->uid) users.insert(*status->uid);
  if (users.size() > 1)
    fmt::print(stderr,
               "samepage: these are processes of different users, who can learn from timing what pages "
               "they share\n");
}

int adopt(const AdoptOptions& options) {
  if (options.whole && options.dry_run)
    throw UsageError("--dry-run: there is nothing to choose with --whole");
  const std::vector<pid_t> pids = whom(options.selection, "adopt");
  if (options.json && *options.json != "-") expect_writable(*options.json);
  require_ksm();
  note_different_users(pids);
  const auto processes = options.whole ? adopt_all(pids) : adopt_worth(pids, options.dry_run);
  const int status = tell(processes, options, adopt_table(processes, options.dry_run));
  bool registered = false;
  for (const AdoptedProcess& process : processes) registered |= process.result && process.worth_bytes != 0u;
  if (!registered && status == 0)
    fmt::print(
        stderr,
        "samepage: no page of these processes has a twin that is neither registered nor shared already\n");
  else if (registered && !options.dry_run && KsmSysfs().read(KsmSetting::run).value != "1")
    fmt::print(stderr, "samepage: KSM is off; nothing is merged until it runs: samepage ksm on\n");
  return status;
}

int release_processes(const AdoptOptions& options) {
  const std::vector<pid_t> pids = whom(options.selection, "release");
  if (options.json && *options.json != "-") expect_writable(*options.json);
  require_ksm();
  std::vector<AdoptedProcess> processes;
  for (const pid_t pid : pids) {
    const std::string name = name_of_process(pid);
    processes.push_back({pid, name, 0, std::nullopt, release(pid)});
  }
  return tell(processes, options, release_table(processes));
}

CLI::App* add(CLI::App& app, const std::shared_ptr<AdoptOptions>& options, const char* name, const char* what,
              const char* examples) {
  CLI::App* added = app.add_subcommand(name, what);
  added->footer(examples);
  add_selection(*added, options->selection);
  added->add_option("--json", options->json, "write the result as data; - for standard output")
      ->type_name("FILE");
  return added;
}

}  // namespace

void add_adopt(CLI::App& app, int& status) {
  auto options = std::make_shared<AdoptOptions>();
  CLI::App* added = add(app, options, "adopt",
                        "let the kernel merge memory of processes that are running already", kAdoptExamples);
  added->add_flag("--whole", options->whole, "all their memory, now and later (Linux 6.4)");
  added->add_flag("--dry-run", options->dry_run, "only say what would be registered");
  added->callback([options, &status] { status = adopt(*options); });
}

void add_release(CLI::App& app, int& status) {
  auto options = std::make_shared<AdoptOptions>();
  add(app, options, "release", "take processes' memory out of merging again", kReleaseExamples)
      ->callback([options, &status] { status = release_processes(*options); });
}

}  // namespace samepage

#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <memory>

#include "cli/run_census.hpp"
#include "group/command_line.hpp"
#include "group/group.hpp"
#include "ksm/lease.hpp"
#include "ksm/watchdog_bursts.hpp"
#include "linux/usage_error.hpp"
#include "report/atomic_file.hpp"
#include "report/run_report.hpp"
#include "report/why_report.hpp"

namespace samepage {
namespace {

constexpr const char* kExamples = R"(
Examples:
  samepage run -n 4 -- ./reco --slice {rank}/{copies} events.hepmc3
  samepage run -n 4 --ksm --json memory.json -- python3 worker.py {rank}
  samepage run --each slices.txt -j 2 --output logs -- ./reco
  samepage run -- gunicorn --preload app:app
  samepage run --join tables -- ./reco slice-17.txt

The programs' output goes where it went; the table goes to standard error.
Exit status: the program's own, with several copies the first one's that failed (128 + N after signal N);
126 it cannot be executed; 127 it is not found; 2 wrong usage; 1 anything else.
)";

constexpr std::size_t kJoinNameMost = 64;
constexpr std::size_t kCopiesMost = 10'000;

struct RunOptions {
  std::optional<std::size_t> copies, at_once;
  std::optional<std::filesystem::path> each, output, json, alone_from;
  std::optional<std::string> layout, join;
  bool across_cgroups = false;
  bool no_seed = false, no_heap = false, no_store = false, ksm = false, quiet = false, why = false;
  std::vector<std::string> command;
};

std::vector<std::vector<std::string>> commands_of(const RunOptions& options) {
  std::vector<std::vector<std::string>> commands;
  if (options.each) {
    std::ifstream lines(*options.each);
    if (!lines || std::filesystem::is_directory(*options.each))
      throw UsageError(fmt::format("--each {}: cannot be read", options.each->string()));
    for (std::string line; std::getline(lines, line);) {
      const auto words = split_words(line);
      if (words.empty()) continue;
      commands.push_back(options.command);
      commands.back().insert(commands.back().end(), words.begin(), words.end());
    }
    if (commands.empty()) throw UsageError(fmt::format("--each {}: has no lines", options.each->string()));
  } else {
    commands.assign(options.copies.value_or(1), options.command);
  }
  for (std::size_t rank = 0; rank < commands.size(); ++rank)
    commands[rank] = arguments_of_copy(commands[rank], rank, commands.size());
  return commands;
}

/// A line on the terminal that is rewritten, and gone before anything else is written.
class LiveStatus {
 public:
  explicit LiveStatus(bool shown) : shown_(shown) {}
  ~LiveStatus() { clear(); }

  void show(const std::string& line) {
    if (!shown_) return;
    // Without the terminal's wrapping: a second row could not be taken back.
    fmt::print(stderr, "\r\x1b[K\x1b[?7l{}\x1b[?7h", line);
    written_ = true;
  }
  void clear() {
    if (written_) fmt::print(stderr, "\r\x1b[K");
    written_ = false;
  }

 private:
  bool shown_, written_ = false;
};

/// With one copy the program's status; else the first failure's.
int exit_status(const GroupResult& result) {
  for (const CopyEnd& end : result.ends)
    if (end.status != 0) return end.status;
  return result.output_lost ? 1 : 0;
}

/// Of the processes that run.
pid_t largest_of(const Accounts& accounts) {
  const std::vector<ProcessRow> rows = accounts.rows();
  const auto size = [](const ProcessRow& row) {
    return row.exit_code || row.signal ? 0 : row.pss_kb.value_or(0);
  };
  const auto largest = std::max_element(rows.begin(), rows.end(),
                                        [&](const auto& a, const auto& b) { return size(a) < size(b); });
  return largest == rows.end() ? 0 : largest->pid;
}

/// What --join asks for; its jobs find each other's pages by their addresses.
std::optional<StoreJoin::Who> join_of(const RunOptions& options) {
  if (!options.join) return std::nullopt;
  if (options.no_store || options.no_heap) throw UsageError("--join needs the heap and its store");
  const std::string& name = *options.join;
  if (name.empty() || name.size() > kJoinNameMost ||
      !std::all_of(name.begin(), name.end(),
                   [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; }))
    throw UsageError(fmt::format("--join '{}': a name is up to {} letters, digits, '-', '_' and '.'", name,
                                 kJoinNameMost));
  if (options.layout.value_or("fixed") != "fixed")
    throw UsageError("--join needs --layout fixed: jobs find each other's pages by their addresses");
  return StoreJoin::Who{name, options.across_cgroups};
}

Layout layout_of(const RunOptions& options) {
  const std::string name = options.layout.value_or(options.join ? "fixed" : "fork");
  return name == "fixed" ? Layout::fixed : name == "none" ? Layout::none : Layout::fork;
}

int run(const RunOptions& options) {
  if (options.command.empty()) throw UsageError("run: no program; try samepage run --help");
  GroupOptions group;
  group.commands = commands_of(options);
  group.at_once = options.at_once.value_or(group.commands.size());
  if (options.across_cgroups && (options.no_store || options.no_heap))
    throw UsageError("--across-cgroups needs the heap and its store");
  group.join = join_of(options);
  group.across_cgroups = options.across_cgroups;
  group.layout = layout_of(options);
  group.seeds = !options.no_seed;
  group.heap = !options.no_heap;
  group.store = !options.no_store;
  group.ksm = options.ksm;
  group.output = options.output;
  const auto alone = options.alone_from ? std::optional(together_in(*options.alone_from)) : std::nullopt;
  if (options.json == "-") throw UsageError("--json -: standard output is the copies'; name a file");
  if (options.json) expect_writable(*options.json);
  if (options.output) {
    std::error_code error;
    std::filesystem::create_directories(*options.output, error);
    if (error) throw UsageError(fmt::format("--output {}: {}", options.output->string(), error.message()));
  }

  LiveStatus status(group.commands.size() > 1 && !options.quiet && isatty(STDERR_FILENO));
  group.note = [&](const std::string& line) {
    status.clear();
    fmt::print(stderr, "samepage: {}\n", line);
  };
  group.writing = [&] { status.clear(); };
  KsmLease::repair();
  std::string why_not;
  std::optional<KsmLease> lease = options.ksm ? KsmLease::take(why_not) : std::nullopt;
  auto asked = options.ksm && !lease ? WatchdogBursts::find() : std::nullopt;
  if (options.ksm && !lease && !asked) group.note(why_not);
  RunCensus census;
  group.looked = [&](const GroupGlance& glance, const Accounts& accounts) {
    const KsmGroupSample seen{glance.seconds, glance.anonymous_kb * 1024,
                              glance.merged_kb ? std::optional(*glance.merged_kb * 1024) : std::nullopt};
    if (lease) lease->tick(seen);
    if (asked && asked->worth_asking(seen)) asked->ask(largest_of(accounts));
    if (options.why) census.look(accounts);
    if (!accounts.samples().empty()) status.show(status_line(accounts.samples().back()));
  };
  const GroupResult result = run_group(group);
  status.clear();
  if (!options.quiet) fmt::print(stderr, "{}", run_table(result, alone));
  if (options.why && !options.quiet)
    fmt::print(stderr, "{}",
               census.last() ? why_lines(*census.last())
                             : "samepage: --why: the copies never stood still, nothing was compared\n");
  if (options.json) write_atomically(*options.json, run_json(result, alone, census.last()));
  return exit_status(result);
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run_app =
      app.add_subcommand("run", "start a program, or copies of it, and show the memory that they share");
  run_app->footer(kExamples);
  const CLI::Validator some_copies = CLI::Range(std::size_t{1}, kCopiesMost).description("");
  run_app->add_option("-n,--copies", options->copies, "copies of the program (1)")
      ->type_name("N")
      ->check(some_copies);
  run_app->add_option("--each", options->each, "one copy per line of FILE, with the line's arguments")
      ->type_name("FILE")
      ->excludes("-n");
  run_app->add_option("-j,--at-once", options->at_once, "copies that run at the same time (all)")
      ->type_name("N")
      ->check(some_copies);
  run_app->add_option("--output", options->output, "write each copy's output to DIR/copy-RANK.log")
      ->type_name("DIR");
  run_app->add_option("--json", options->json, "write the result as data")->type_name("FILE");
  run_app
      ->add_option("--alone-from", options->alone_from,
                   "compare with the measured memory of an earlier run's JSON")
      ->type_name("FILE");
  run_app
      ->add_option("--layout", options->layout,
                   "one memory layout for all copies: fork, fixed or none (fork)")
      ->check(CLI::IsMember({"fork", "fixed", "none"}).description(""))
      ->type_name("HOW");
  run_app->add_flag("--ksm", options->ksm, "let the kernel merge equal pages while the copies run");
  run_app->add_flag("--why", options->why,
                    "compare the copies' memory: what would be ideal, and what keeps the rest apart");
  run_app->add_flag("--no-heap", options->no_heap, "keep the program's own malloc");
  run_app->add_flag("--no-store", options->no_store, "share only what a fork or --ksm shares");
  run_app
      ->add_option("--join", options->join,
                   "share with other jobs of this user and cgroup that join NAME (layout: fixed)")
      ->type_name("NAME");
  run_app->add_flag("--across-cgroups", options->across_cgroups,
                    "share with processes (and jobs that join) in other cgroups; who publishes is charged");
  run_app->add_flag("--no-seed", options->no_seed, "leave the hash seeds of Python and Perl alone");
  run_app->add_flag("-q,--quiet", options->quiet, "no table and no live status");
  run_app->add_option("command", options->command, "PROGRAM ARGS…; {rank} and {copies} are replaced")
      ->type_name("");
  run_app->positionals_at_end();
  run_app->callback([options, &status] { status = run(*options); });
}

}  // namespace samepage

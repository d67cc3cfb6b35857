#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "group/command_line.hpp"
#include "group/group.hpp"
#include "ksm/lease.hpp"
#include "linux/usage_error.hpp"
#include "report/atomic_file.hpp"
#include "report/run_report.hpp"

namespace samepage {
namespace {

constexpr const char* kExamples = R"(
Examples:
  samepage run -n 4 -- ./reco --slice {rank}/{copies} events.hepmc3
  samepage run -n 4 --ksm --json memory.json -- python3 worker.py {rank}
  samepage run --each slices.txt -j 2 --output logs -- ./reco
  samepage run -- gunicorn --preload app:app
)";

struct RunOptions {
  std::optional<std::size_t> copies, at_once;
  std::optional<std::filesystem::path> each, output, json, alone_from;
  Layout layout = Layout::fork;
  bool no_seed = false, no_heap = false, ksm = false, quiet = false;
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
    fmt::print(stderr, "\r\x1b[K{}", line);
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

int run(const RunOptions& options) {
  if (options.command.empty()) throw UsageError("run: no program; try samepage run --help");
  if (options.copies == 0u) throw UsageError("-n 0: at least one copy must run");
  if (options.at_once == 0u) throw UsageError("-j 0: at least one copy must run at once");
  GroupOptions group;
  group.commands = commands_of(options);
  group.at_once = options.at_once.value_or(group.commands.size());
  group.layout = options.layout;
  group.seeds = !options.no_seed;
  group.heap = !options.no_heap;
  group.ksm = options.ksm;
  group.output = options.output;
  const auto alone = options.alone_from ? std::optional(together_in(*options.alone_from)) : std::nullopt;
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
  KsmLease::repair();
  std::string why_not;
  std::optional<KsmLease> lease = options.ksm ? KsmLease::take(why_not) : std::nullopt;
  if (options.ksm && !lease) group.note(why_not);
  group.looked = [&](const GroupGlance& glance, const Accounts& accounts) {
    if (lease)
      lease->tick({glance.seconds, glance.anonymous_kb * 1024,
                   glance.merged_kb ? std::optional(*glance.merged_kb * 1024) : std::nullopt});
    if (!accounts.samples().empty()) status.show(status_line(accounts.samples().back()));
  };
  const GroupResult result = run_group(group);
  status.clear();
  if (!options.quiet) fmt::print(stderr, "{}", run_table(result, alone));
  if (options.json) write_atomically(*options.json, run_json(result, alone));
  return exit_status(result);
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run_app =
      app.add_subcommand("run", "start a program, or copies of it, and show the memory that they share");
  run_app->footer(kExamples);
  run_app->add_option("-n,--copies", options->copies, "copies of the program (1)")->type_name("N");
  run_app->add_option("--each", options->each, "one copy per line of FILE, with the line's arguments")
      ->type_name("FILE")
      ->excludes("-n");
  run_app->add_option("-j,--at-once", options->at_once, "copies that run at the same time (all)")
      ->type_name("N");
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
      ->transform(CLI::CheckedTransformer(std::map<std::string, Layout>{{"fork", Layout::fork},
                                                                        {"fixed", Layout::fixed},
                                                                        {"none", Layout::none}})
                      .description(""))
      ->type_name("HOW");
  run_app->add_flag("--ksm", options->ksm, "let the kernel merge equal pages while the copies run");
  run_app->add_flag("--no-heap", options->no_heap, "keep the program's own malloc");
  run_app->add_flag("--no-seed", options->no_seed, "leave the hash seeds of Python and Perl alone");
  run_app->add_flag("-q,--quiet", options->quiet, "no table and no live status");
  run_app->add_option("command", options->command, "PROGRAM ARGS…; {rank} and {copies} are replaced")
      ->type_name("");
  run_app->positionals_at_end();
  run_app->callback([options, &status] { status = run(*options); });
}

}  // namespace samepage

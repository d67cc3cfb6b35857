#include "cli/top.hpp"

#include <fmt/format.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <memory>
#include <string_view>

#include "cli/selection.hpp"
#include "cli/top_screen.hpp"
#include "cli/top_source.hpp"
#include "linux/descriptor_limit.hpp"
#include "linux/signal_state.hpp"
#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"
#include "report/top_frame.hpp"
#include "report/top_json.hpp"

namespace samepage {
namespace {

constexpr const char* kExamples = R"(
Examples:
  samepage top
  samepage top gunicorn --interval 5
  samepage top --once --user www-data
  samepage top --json --count 60 > minute.jsonl

Keys: up and down move, tab goes to the other table and back, < and > choose the
column that it is sorted by, r reverses, Enter asks why for what is selected, q
leaves.
Exit status: 0; 1 they have all ended; 2 wrong usage, or no such process.
)";

struct TopOptions {
  Selection whom;
  double interval = 1;
  bool once = false, json = false;
  std::optional<std::uint64_t> count;
};

/// Output that cannot be written is a failure, and said once.
void write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error(fmt::format("standard output: {}", error_text(errno)));
}

std::size_t columns_of_output() {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col) return window.ws_col;
  return 4096;  // a file or a pipe: whole lines
}

/// The signal that came meanwhile, or 0.
int wait(double seconds, const SignalState& signals) {
  pollfd waited{signals.fd(), POLLIN, 0};
  uninterrupted([&] { return poll(&waited, 1, static_cast<int>(seconds * 1000)); });
  return signals.take();
}

int stream(TopSource& source, const TopOptions& options) {
  const SignalState signals({SIGINT, SIGTERM});
  for (std::uint64_t sample = 0; !options.count || sample < *options.count; ++sample) {
    if (const int signal = sample > 0 ? wait(options.interval, signals) : 0)
      return signal == SIGINT ? 0 : 128 + signal;
    const LiveSample now = source.sample();
    write_out(top_json(now, source.host()));
  }
  return 0;
}

int top(TopOptions options) {
  if (!(options.interval >= 0.1 && options.interval <= 86400))
    throw UsageError(fmt::format("--interval {}: must be from 0.1 to 86400 seconds", options.interval));
  if (options.count == 0u) throw UsageError("--count 0: at least one sample must be taken");
  if (options.count && !options.json) throw UsageError("--count: counts the samples of --json");
  if (options.whom.empty()) options.whom.all = true;
  options.whom.pids();  // a name or a PID that nobody has is a mistake
  const bool drawn = !options.json && !options.once;
  if (drawn && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
    throw UsageError("top: not on a terminal; samepage top --once prints what is now, --json goes on");
  std::setlocale(LC_CTYPE, "");
  const Glyphs glyphs = std::string_view(nl_langinfo(CODESET)) == "UTF-8" ? Glyphs::utf8 : Glyphs::ascii;
  TopSource source(options.whom.live());
  if (drawn) {
    allow_many_descriptors();  // Enter opens two for each process that it asks about
    return show_top(source, options.interval, glyphs);
  }
  if (options.json) {
    if (options.once) options.count = 1;
    return stream(source, options);
  }
  const LiveSample sample = source.sample();
  write_out(top_text(sample, source.host(), columns_of_output(), glyphs));
  return sample.processes ? 0 : 1;
}

}  // namespace

void add_top(CLI::App& app, int& status) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* top_app = app.add_subcommand("top", "what processes take together, live, and what sharing saves");
  top_app->footer(kExamples);
  add_selection(*top_app, options->whom);
  top_app->add_option("--interval", options->interval, "between two looks (1)")->type_name("SECONDS");
  top_app->add_flag("--once", options->once, "print what is now, and end");
  top_app->add_flag("--json", options->json, "write each look as a line of data");
  top_app->add_option("--count", options->count, "end --json after N lines")->type_name("N");
  top_app->callback([options, &status] { status = top(*options); });
}

}  // namespace samepage

#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/adopt.hpp"
#include "cli/ksm.hpp"
#include "cli/run.hpp"
#include "cli/top.hpp"
#include "cli/watchdog.hpp"
#include "cli/why.hpp"
#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"

namespace {

/// Descriptors 0 to 2 are open from here on, so that no other one is taken for a standard stream.
void open_standard_streams() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd < 3);
  if (fd >= 3) close(fd);
}

/// In the reverse order, as CLI11 takes them. `help WORD` is `WORD --help`.
std::vector<std::string> words_of(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.resize(std::min<std::size_t>(words.size(), 1));
    words.emplace_back("--help");
  }
  const auto called = [&](const CLI::App* command) { return command->get_name() == words.front(); };
  if (!words.empty() && !words.front().starts_with('-') && app.get_subcommands(called).empty())
    throw samepage::UsageError(
        fmt::format("there is no command {}; samepage --help lists them", words.front()));
  return {words.rbegin(), words.rend()};
}

/// What was printed is lost where standard output cannot hold it.
void expect_written() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout) {
    const int error = errno ? errno : EIO;
    throw samepage::UsageError(fmt::format("standard output: {}", samepage::error_text(error)), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CLI::App app("Many similar processes in the memory of one: start programs, and see what they share.",
               "samepage");
  app.set_version_flag("--version", "samepage " SAMEPAGE_VERSION);
  app.require_subcommand(1);
  int status = 0;
  samepage::add_run(app, status);
  samepage::add_top(app, status);
  samepage::add_why(app, status);
  samepage::add_watchdog(app, status);
  samepage::add_adopt(app, status);
  samepage::add_release(app, status);
  samepage::add_ksm(app, status);
  try {
    try {
      app.parse(words_of(app, argc, argv));
    } catch (const CLI::Success& help) {
      status = app.exit(help);
    }
    expect_written();
    return status;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "samepage: {}\n", error.what());
    return 2;
  } catch (const samepage::UsageError& error) {
    fmt::print(stderr, "samepage: {}\n", error.what());
    return error.status;
  } catch (const std::exception& error) {
    fmt::print(stderr, "samepage: {}\n", error.what());
    return 1;
  }
}

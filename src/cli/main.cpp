#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <system_error>

#include "cli/run.hpp"
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

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CLI::App app("Many similar processes in the memory of one: start programs, and see what they share.",
               "samepage");
  app.set_version_flag("--version", "samepage " SAMEPAGE_VERSION);
  app.require_subcommand(1);
  int status = 0;
  samepage::add_run(app, status);
  try {
    app.parse(argc, argv);
    return status;
  } catch (const CLI::Success& help) {
    return app.exit(help);
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

#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Adds `samepage watchdog`; when it was chosen, its exit status is put into `status`.
void add_watchdog(CLI::App& app, int& status);

}  // namespace samepage

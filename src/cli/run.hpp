#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Adds `samepage run`; when it was chosen, its exit status is put into `status`.
void add_run(CLI::App& app, int& status);

}  // namespace samepage

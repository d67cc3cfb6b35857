#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Adds `samepage top`; when it was chosen, its exit status is put into `status`.
void add_top(CLI::App& app, int& status);

}  // namespace samepage

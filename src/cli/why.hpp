#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Adds `samepage why`; when it was chosen, its exit status is put into `status`.
void add_why(CLI::App& app, int& status);

}  // namespace samepage

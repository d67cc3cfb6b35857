#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Adds `samepage ksm`; when it was chosen, its exit status is put into `status`.
void add_ksm(CLI::App& app, int& status);

}  // namespace samepage

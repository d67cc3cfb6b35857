#pragma once

#include <CLI/CLI.hpp>

namespace samepage {

/// Add `samepage adopt` and `samepage release`; the exit status of the one that was chosen is put into
/// `status`.
void add_adopt(CLI::App& app, int& status);
void add_release(CLI::App& app, int& status);

}  // namespace samepage

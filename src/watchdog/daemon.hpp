#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ksm/lease.hpp"
#include "watchdog/actor.hpp"
#include "watchdog/config.hpp"

namespace samepage {

struct WatchdogOptions {
  WatchdogConfig config;
  std::function<WatchdogConfig()> read_config;  ///< again, at SIGHUP; may throw UsageError
  KsmPlaces places;
  Registrar registrar;
  bool dry_run = false;                         ///< say what would be done, and do nothing
  std::optional<std::filesystem::path> record;  ///< a trace of every look
  std::optional<std::filesystem::path> metrics;
  std::function<void(const std::string&)> log;  ///< one line
  /// Writes a file whole or not at all; may throw UsageError.
  std::function<void(const std::filesystem::path&, std::string_view)> write_file;
};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the rules again. Throws UsageError where it cannot begin: no
/// KSM, not root, another watchdog.
///
/// In `places.run` lie, beside KSM's ledger: watchdog.lock, watchdog.json (what was adopted), watchdog.sock
/// (requests for a burst) and metrics.sock.
void run_watchdog(const WatchdogOptions& options);

}  // namespace samepage

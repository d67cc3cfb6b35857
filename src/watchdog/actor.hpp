#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ksm/lease.hpp"
#include "watchdog/adopted_book.hpp"
#include "watchdog/decision.hpp"
#include "watchdog/metrics.hpp"

namespace samepage {

/// Registers one process's memory with KSM, or takes it out again. Each returns why that failed, in a line.
struct Registrar {
  std::function<std::optional<std::string>(pid_t)> adopt, release;
};

/// All of a process's memory, by a call that is made in its name (ksm/adopt.hpp).
Registrar whole_process_registrar();

/// Carries decisions out.
class Actor {
 public:
  /// Without a lease nothing is done (a dry run); what would be adopted then counts as refused, so that it is
  /// decided once.
  Actor(std::optional<KsmLease> lease, Registrar registrar, AdoptedBook& book,
        std::filesystem::path proc = "/proc")
      : lease_(std::move(lease)), registrar_(std::move(registrar)), book_(book), proc_(std::move(proc)) {}

  /// A line for the log if it failed.
  std::optional<std::string> carry_out(const Decision& decision, WatchdogTally& tally);

  bool bursting() const { return lease_ && lease_->bursting(); }

 private:
  std::optional<std::string> adopt(const Decision& decision, WatchdogTally& tally);
  std::optional<std::string> release(const Decision& decision, WatchdogTally& tally);
  bool is_still(const Decision& decision) const;

  std::optional<KsmLease> lease_;
  Registrar registrar_;
  AdoptedBook& book_;
  std::filesystem::path proc_;
};

}  // namespace samepage

#pragma once

#include "group/live_accounts.hpp"
#include "linux/host.hpp"

namespace samepage {

/// Where samepage top's figures come from.
class TopSource {
 public:
  explicit TopSource(LiveAccounts::Meant meant) : accounts_(proc_, std::move(meant), kShareOfProcessor) {}

  LiveSample sample() { return accounts_.sample(); }
  Host host() const { return read_host(proc_, ksm_); }

 private:
  static constexpr double kShareOfProcessor = 0.006;  // with the drawing it is to stay below 1 %

  ProcFs proc_;
  KsmSysfs ksm_;
  LiveAccounts accounts_;
};

}  // namespace samepage

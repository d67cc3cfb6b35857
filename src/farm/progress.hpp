#pragma once

#include <chrono>
#include <string>

#include "farm/shared_state.hpp"

namespace samepage::farm {

/// Says on standard error how the job goes: one line that is rewritten on a terminal, or a line every 10 s.
class Progress {
 public:
  Progress(Options::Progress how, const SharedState& shared);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// How often say_if_due() wants to be called; nothing: never.
  std::optional<std::chrono::milliseconds> every() const { return every_; }
  void say_if_due(const Report& so_far, std::span<const pid_t> workers);

 private:
  const SharedState& shared_;
  bool terminal_ = false, said_ = false;
  std::optional<std::chrono::milliseconds> every_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), last_ = began_;
  std::uint64_t first_events_ = 0;
};

}  // namespace samepage::farm

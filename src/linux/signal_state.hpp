#pragma once

#include <signal.h>

#include <initializer_list>

#include "linux/unique_fd.hpp"

namespace samepage {

/// Takes signals through a descriptor for as long as it lives; afterwards the mask is what it was.
class SignalState {
 public:
  explicit SignalState(std::initializer_list<int> taken);
  SignalState(const SignalState&) = delete;
  ~SignalState();

  /// Readable (signalfd_siginfo) when one of the signals came; never blocks.
  int fd() const { return fd_.get(); }
  /// Takes the next signal that came; 0 if none did. What is not taken is delivered when this ends.
  int take() const;
  /// The mask before, for programs that are about to be started.
  const sigset_t& mask_before() const { return before_; }

 private:
  sigset_t before_;
  UniqueFd fd_;
};

}  // namespace samepage

#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "linux/registers.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

/// A system call to be made in another process's name; pointers are addresses there.
struct SystemCall {
  long number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

/// What kept a thread from being stopped, or from making calls.
enum class TraceFailure {
  none,
  gone,         ///< it has ended
  denied,       ///< EPERM of ptrace(2)
  no_stop,      ///< it did not stop in time
  in_sequence,  ///< it stopped in a restartable sequence (rseq(2)), which must not be left in between
  foreign,      ///< a 32-bit program
  filtered,     ///< its system calls are filtered (seccomp(2), syscall user dispatch), and may not pass
  no_call,      ///< it has no system call instruction where every program has one
  broken,       ///< it answered as no thread should
};

/// One thread under ptrace(2), from seize() to detach().
///
/// The thread that calls seize() must make all other calls, and have all signals blocked, SIGCHLD among them.
/// If it ends before detach(), the kernel lets the traced thread go as it stands: so only a process that
/// nobody kills may do this (see remote_calls.hpp).
class TracedThread {
 public:
  explicit TracedThread(pid_t tid) : tid_(tid) {}

  /// Stops the thread within `seconds`, and sees that it can make calls. After no_stop nothing but the end of
  /// the caller lets the thread go; after any other failure detach() does.
  TraceFailure stop(double seconds);

  /// Makes one call; absent if the thread has ended or `failure()` tells another reason.
  std::optional<long> call(const SystemCall& call);

  /// Lets the thread go on as if it had not been stopped.
  void detach();

  TraceFailure failure() const { return failure_; }

 private:
  enum class Resume { go, to_next_call };

  TraceFailure look_around();
  bool get_registers(Registers& registers);
  bool set_registers(const Registers& registers);
  bool in_restartable_sequence() const;
  bool find_call_instruction();
  /// Runs the thread until it stops at a call's begin or end, or for PTRACE_INTERRUPT.
  bool run(Resume how);
  std::optional<int> wait(double seconds) const;
  bool give_up(TraceFailure why);

  pid_t tid_;
  UniqueFd memory_;
  Registers before_{};
  std::uint64_t mask_before_ = 0;
  std::uint64_t call_instruction_ = 0;
  TraceFailure failure_ = TraceFailure::none;
  bool stopped_ = false, readable_ = false, changed_ = false;
};

}  // namespace samepage

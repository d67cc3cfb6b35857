#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "linux/traced_thread.hpp"

namespace samepage {

/// Why no call was made, or no further one, in a process's name.
enum class RemoteRefusal {
  none,
  gone,           ///< no such process, or it ended, or started another program, meanwhile
  zombie,         ///< it has ended, and its parent has not looked yet
  thread,         ///< the number is a thread's, not a process's
  kernel_thread,  ///< it has no memory of its own
  denied,         ///< another user's, or one that protects itself
  traced,         ///< a debugger has it
  foreign,        ///< a 32-bit program
  filtered,       ///< its system calls are filtered, and the filter may not be suspended for a moment
  busy,           ///< no thread could be stopped without loss to it in time
  failed,         ///< something that should not happen
};

struct RemoteAnswer {
  RemoteRefusal refusal = RemoteRefusal::none;
  std::string why;            ///< one line for people, with the PID; empty without a refusal
  std::vector<long> results;  ///< of the calls that were made, in their order: a value, or -errno
  double longest_stop = 0;    ///< seconds for which one thread stood still
};

/// Makes system calls in the name of a running process, whatever it is doing: one of its threads is stopped
/// for some calls at a time, makes them, and goes on; the others run. Waits are restarted as if nothing had
/// been (thread_moment.hpp says how a thread is chosen), no signal is lost, and a process that stands stopped
/// stays so. The calls must work on the process as a whole (madvise(2), prctl(2)'s PR_SET_MEMORY_MERGE), not
/// on the thread.
///
/// Takes what ptrace(2) takes: the same user, or CAP_SYS_PTRACE; with a seccomp filter CAP_SYS_ADMIN.
/// Each stop waits up to `patience` seconds for a good moment: refused as busy when none comes.
/// The tracing is done by a forked child, which no signal ends and which outlives this process if need be, so
/// that no thread is left between two steps. May be called by several threads, for different processes.
RemoteAnswer call_in_process(pid_t pid, std::span<const SystemCall> calls, double patience = 3);

}  // namespace samepage

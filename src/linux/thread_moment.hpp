#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string_view>

namespace samepage {

/// What a thread would notice if it were stopped for an instant now. Stopping ends the system call that the
/// thread waits in; the kernel makes most of them again, some not (signal(7), "Interruption of system calls
/// and library functions by stop signals"). Best first.
enum class ThreadMoment {
  restarts,  ///< waits in a call that goes on as if nothing had been
  running,   ///< on a processor, or about to be
  late,      ///< waits in a call that goes on, but whose time limit begins anew
  lossy,     ///< waits in a call that could do less than it was asked to, or fail: not to be stopped
};

/// Of /proc/PID/task/TID/syscall: "running", or the call's number and arguments.
ThreadMoment moment_of_call(std::string_view syscall_text);

/// Absent when the thread has gone, or may not be looked at.
std::optional<ThreadMoment> moment_of(pid_t pid, pid_t tid, const std::filesystem::path& proc = "/proc");

/// Whether EINTR of this call says that nothing was done, so that it may be made again.
bool may_be_made_again(long call);

}  // namespace samepage

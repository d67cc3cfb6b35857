#include "linux/thread_moment.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "linux/proc_fs.hpp"
#include "linux/registers.hpp"
#include "linux/system_call.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

struct WaitingCall {
  long number = -1;
  std::array<std::uint64_t, 6> arguments{};
};

WaitingCall parse(std::string_view text) {
  WaitingCall call;
  const std::string copy(text);
  char* rest = nullptr;
  call.number = std::strtol(copy.c_str(), &rest, 10);
  for (std::uint64_t& argument : call.arguments) argument = std::strtoull(rest, &rest, 16);
  return call;
}

/// Waits that the kernel makes again, with what is left of their time.
bool restarts_exactly(long call) {
  switch (call) {
    case SYS_futex:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_restart_syscall:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_rt_sigsuspend:
#ifdef SYS_poll
    case SYS_poll:
    case SYS_select:
    case SYS_pause:
#endif
      return true;
    default:
      return false;
  }
}

/// Waits that end with EINTR, or do where the socket has a time limit; -1 if there is no limit among the
/// arguments, else the argument that holds it.
std::optional<int> time_limit(long call) {
  switch (call) {
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
      return 3;
    case SYS_semop:
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_accept:
    case SYS_accept4:
      return -1;
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
    case SYS_semtimedop:
      return 3;
    case SYS_rt_sigtimedwait:
      return 2;
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_recvmmsg:
      return 4;
    default:
      return std::nullopt;
  }
}

bool counts_milliseconds(long call) {
#ifdef SYS_epoll_wait
  if (call == SYS_epoll_wait) return true;
#endif
  return call == SYS_epoll_pwait;
}

/// Asked for all of the bytes, it would give those that have come.
bool wants_all(const WaitingCall& call) {
  const std::uint64_t flags = call.number == SYS_recvfrom || call.number == SYS_recvmmsg ? call.arguments[3]
                              : call.number == SYS_recvmsg                               ? call.arguments[2]
                                                                                         : 0;
  return (flags & MSG_WAITALL) != 0;
}

/// For epoll milliseconds, of which negative ones mean for ever; otherwise a pointer.
bool is_limited(const WaitingCall& call, int argument) {
  if (argument < 0) return false;
  const std::uint64_t value = call.arguments[static_cast<std::size_t>(argument)];
  return counts_milliseconds(call.number) ? static_cast<std::int32_t>(value) > 0 : value != 0;
}

}  // namespace

bool may_be_made_again(long call) {
  return time_limit(call).has_value();
}

ThreadMoment moment_of_call(std::string_view text) {
  if (text.starts_with("running")) return ThreadMoment::running;
  const WaitingCall call = parse(text);
  // In no call, and yet not on a processor: stopped, or waiting for a page.
  if (call.number < 0) return ThreadMoment::running;
  if (restarts_exactly(call.number)) return ThreadMoment::restarts;
  const std::optional<int> limit = time_limit(call.number);
  if (!limit || !kRestartsInterrupted || wants_all(call)) return ThreadMoment::lossy;
  return is_limited(call, *limit) ? ThreadMoment::late : ThreadMoment::restarts;
}

std::optional<ThreadMoment> moment_of(pid_t pid, pid_t tid, const std::filesystem::path& proc) {
  const auto threads = proc / std::to_string(pid) / "task";
  const auto stat = ProcFs(threads).stat(tid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  // Stopped by a signal: whatever it was in, that has happened to it already.
  if (stat->state == 'T') return ThreadMoment::running;
  const auto path = threads / std::to_string(tid) / "syscall";
  const UniqueFd file(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  std::array<char, 256> text;
  const ssize_t size = file ? uninterrupted([&] { return read(file.get(), text.data(), text.size()); }) : -1;
  // Who may not look may not stop it either: ptrace(2) will say so.
  if (size < 0 && (errno == EACCES || errno == EPERM)) return ThreadMoment::running;
  if (size <= 0) return std::nullopt;
  return moment_of_call({text.data(), static_cast<std::size_t>(size)});
}

}  // namespace samepage

#include "linux/traced_thread.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string>

#include "linux/proc_fs.hpp"
#include "linux/system_call.hpp"
#include "linux/thread_moment.hpp"

namespace samepage {
namespace {

// Debian 12's headers are older than this request (Linux 6.4).
constexpr int kGetSyscallUserDispatch = 0x4211;
struct SyscallUserDispatch {
  std::uint64_t mode, selector, offset, length;
};

constexpr int kCallStop = SIGTRAP | 0x80;  // with PTRACE_O_TRACESYSGOOD

long trace(int request, pid_t tid, std::uintptr_t address, const void* data) {
  return ptrace(static_cast<__ptrace_request>(request), tid, reinterpret_cast<void*>(address),
                const_cast<void*>(data));
}

long trace(int request, pid_t tid, std::uintptr_t data = 0) {
  return trace(request, tid, 0, reinterpret_cast<void*>(data));
}

bool is_event_stop(int status) {
  return status >> 16 == PTRACE_EVENT_STOP;
}

bool read_at(int memory, std::uint64_t address, void* buffer, std::size_t size) {
  return uninterrupted([&] { return pread(memory, buffer, size, static_cast<off_t>(address)); }) ==
         static_cast<ssize_t>(size);
}

}  // namespace

bool TracedThread::give_up(TraceFailure why) {
  failure_ = why;
  if (why == TraceFailure::gone) stopped_ = false;
  return false;
}

std::optional<int> TracedThread::wait(double seconds) const {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  timespec now{}, until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += static_cast<long>(seconds * 1e9);
  while (true) {
    int status = 0;
    const pid_t got = waitpid(tid_, &status, __WALL | WNOHANG);
    if (got == tid_) return status;
    if (got < 0 && errno != EINTR) return W_EXITCODE(0, SIGKILL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long left = (until.tv_sec - now.tv_sec) * 1'000'000'000 + until.tv_nsec - now.tv_nsec;
    if (left <= 0) return std::nullopt;
    const timespec pause{left / 1'000'000'000, left % 1'000'000'000};
    sigtimedwait(&child, nullptr, &pause);
  }
}

TraceFailure TracedThread::stop(double seconds) {
  if (trace(PTRACE_SEIZE, tid_, PTRACE_O_TRACESYSGOOD) != 0)
    return failure_ = errno == ESRCH ? TraceFailure::gone : TraceFailure::denied;
  if (trace(PTRACE_INTERRUPT, tid_) != 0) return failure_ = TraceFailure::gone;
  while (true) {
    const std::optional<int> status = wait(seconds);
    if (!status) return failure_ = TraceFailure::no_stop;
    if (!WIFSTOPPED(*status)) return failure_ = TraceFailure::gone;
    if (is_event_stop(*status)) break;
    // A signal came first; the thread takes it, and stops then.
    trace(PTRACE_CONT, tid_, static_cast<std::uintptr_t>(WSTOPSIG(*status)));
  }
  stopped_ = true;
  return failure_ = look_around();
}

TraceFailure TracedThread::look_around() {
  if (!get_registers(before_)) return failure_ == TraceFailure::none ? TraceFailure::foreign : failure_;
  readable_ = true;
  SyscallUserDispatch dispatch{};
  if (trace(kGetSyscallUserDispatch, tid_, sizeof dispatch, &dispatch) == 0 && dispatch.mode != 0)
    return TraceFailure::filtered;
  const std::string path = "/proc/" + std::to_string(tid_) + "/mem";
  memory_ = UniqueFd(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!memory_) return TraceFailure::denied;
  if (in_restartable_sequence()) return TraceFailure::in_sequence;
  if (!find_call_instruction()) return TraceFailure::no_call;
  const auto status = ProcFs().status(tid_);
  // Only while the thread stands still, so that no call of its own passes the filter.
  if (status && status->seccomp.value_or(0) != 0 &&
      trace(PTRACE_SETOPTIONS, tid_, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP) != 0)
    return TraceFailure::filtered;
  // Signals wait until the thread is itself again. SIGSYS does not: the kernel kills who blocks it when it is
  // due.
  const std::uint64_t blocked = ~(1ULL << (SIGSYS - 1));
  if (trace(PTRACE_GETSIGMASK, tid_, sizeof mask_before_, &mask_before_) != 0 ||
      trace(PTRACE_SETSIGMASK, tid_, sizeof blocked, &blocked) != 0)
    return TraceFailure::broken;
  changed_ = true;
  return TraceFailure::none;
}

bool TracedThread::get_registers(Registers& registers) {
  iovec area{&registers, sizeof registers};
  if (trace(PTRACE_GETREGSET, tid_, NT_PRSTATUS, &area) != 0) return give_up(TraceFailure::gone);
  return area.iov_len == sizeof registers;  // a 32-bit program has fewer
}

bool TracedThread::set_registers(const Registers& registers) {
  const iovec area{const_cast<Registers*>(&registers), sizeof registers};
  return trace(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &area) == 0 || give_up(TraceFailure::gone);
}

// The kernel forgets the sequence when a thread comes back to elsewhere, so that the registers which we put
// back would go on in the middle of it. Layouts: struct rseq and rseq_cs of linux/rseq.h.
bool TracedThread::in_restartable_sequence() const {
  __ptrace_rseq_configuration rseq{};
  if (trace(PTRACE_GET_RSEQ_CONFIGURATION, tid_, sizeof rseq, &rseq) <= 0 || !rseq.rseq_abi_pointer)
    return false;
  std::uint64_t descriptor = 0;
  if (!read_at(memory_.get(), rseq.rseq_abi_pointer + 8, &descriptor, sizeof descriptor) || !descriptor)
    return false;
  struct {
    std::uint32_t version, flags;
    std::uint64_t start, length, abort;
  } sequence{};
  if (!read_at(memory_.get(), descriptor, &sequence, sizeof sequence)) return false;
  return next_instruction(before_) - sequence.start < sequence.length;
}

/// In the vdso, which the kernel maps into every program; without one, where the thread stands now.
bool TracedThread::find_call_instruction() {
  const std::string path = "/proc/" + std::to_string(tid_) + "/auxv";
  const UniqueFd file(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  std::array<std::uint64_t, 128> auxiliary{};
  const ssize_t size = uninterrupted([&] { return read(file.get(), auxiliary.data(), sizeof auxiliary); });
  for (std::size_t i = 0; size > 0 && i + 1 < auxiliary.size(); i += 2) {
    if (auxiliary[i] != AT_SYSINFO_EHDR) continue;
    std::vector<unsigned char> code(16384);
    const ssize_t got = uninterrupted(
        [&] { return pread(memory_.get(), code.data(), code.size(), static_cast<off_t>(auxiliary[i + 1])); });
    if (got <= 0) break;
    code.resize(static_cast<std::size_t>(got));
    for (auto at = code.begin();; ++at) {
      at = std::search(at, code.end(), kCallInstruction.begin(), kCallInstruction.end());
      if (at == code.end()) break;
      const auto offset = static_cast<std::uint64_t>(at - code.begin());
      if (offset % kInstructionAlignment) continue;
      call_instruction_ = auxiliary[i + 1] + offset;
      return true;
    }
  }
  const std::uint64_t behind = next_instruction(before_) - kCallInstruction.size();
  auto here = kCallInstruction;
  if (!read_at(memory_.get(), behind, here.data(), here.size()) || here != kCallInstruction) return false;
  call_instruction_ = behind;
  return true;
}

bool TracedThread::run(Resume how) {
  std::uintptr_t signal = 0;
  while (true) {
    if (trace(how == Resume::go ? PTRACE_CONT : PTRACE_SYSCALL, tid_, signal) != 0)
      return give_up(TraceFailure::gone);
    int status = 0;
    if (uninterrupted([&] { return waitpid(tid_, &status, __WALL); }) != tid_ || !WIFSTOPPED(status))
      return give_up(TraceFailure::gone);
    signal = 0;
    if (is_event_stop(status)) {
      // Also when somebody stops the whole process now; the kernel remembers that past the detach.
      if (how == Resume::go) return true;
    } else if (WSTOPSIG(status) == kCallStop) {
      if (how == Resume::to_next_call) return true;
    } else if (WSTOPSIG(status) == SIGSYS) {
      return give_up(TraceFailure::filtered);
    } else {
      signal = static_cast<std::uintptr_t>(WSTOPSIG(status));  // SIGSTOP, which nobody can block
    }
  }
}

std::optional<long> TracedThread::call(const SystemCall& call) {
  // A call that a signal cuts short (SIGSTOP does) is made again, as the kernel would.
  constexpr long kFirstRestart = -516, kLastRestart = -512;
  while (true) {
    Registers registers = before_;
    prepare_call(registers, call_instruction_, call.number, call.arguments);
    if (!set_registers(registers) || !run(Resume::to_next_call) || !run(Resume::to_next_call) ||
        !get_registers(registers))
      return std::nullopt;
    const long result = call_result(registers);
    if (result < kFirstRestart || result > kLastRestart) return result;
  }
}

void TracedThread::detach() {
  if (!stopped_) return;
  if (changed_) {
    // The kernel restarts what was interrupted only on its way out of a stop for a signal or for INTERRUPT.
    trace(PTRACE_INTERRUPT, tid_);
    if (!run(Resume::go)) return;
    trace(PTRACE_SETSIGMASK, tid_, sizeof mask_before_, &mask_before_);
  }
  if (readable_) {
    if (kRestartsInterrupted && call_result(before_) == -EINTR && may_be_made_again(call_of(before_)))
      restart_interrupted(before_);
    set_registers(before_);
  }
  trace(PTRACE_DETACH, tid_);
  stopped_ = false;
}

}  // namespace samepage

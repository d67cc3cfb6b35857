#include "linux/remote_calls.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "linux/proc_fs.hpp"
#include "linux/system_call.hpp"
#include "linux/thread_moment.hpp"

namespace samepage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kCallsPerStop = 32;
constexpr double kStopPatience = 0.25;  // seconds, for a thread to stop
// Parts of the patience in which a thread without a time limit, and one that no signals are sent to, is
// looked for.
constexpr double kTimeLimitPatience = 0.1, kAnyPatience = 0.5;

/// What the tracer tells of one stop.
struct StopReport {
  TraceFailure failure = TraceFailure::broken;
  std::size_t calls = 0;
  double seconds = 0;
  long results[kCallsPerStop] = {};
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// In the child: one stop.
StopReport stop_and_call(pid_t tid, std::span<const SystemCall> calls) {
  StopReport report;
  TracedThread thread(tid);
  const auto begin = Clock::now();
  report.failure = thread.stop(kStopPatience);
  if (report.failure == TraceFailure::none) {
    for (const SystemCall& call : calls) {
      const auto result = thread.call(call);
      if (!result) break;
      report.results[report.calls++] = *result;
    }
    report.failure = thread.failure();
  }
  thread.detach();
  report.seconds = seconds_since(begin);
  return report;
}

/// Starts the tracer with all signals blocked from its birth.
StopReport in_tracer(pid_t tid, std::span<const SystemCall> calls) {
  StopReport report;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return report;
  UniqueFd out(ends[0]), in(ends[1]);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t tracer = fork();
  if (tracer == 0) {
    signal(SIGCHLD, SIG_DFL);  // who ignores it is not told of stops either
    const StopReport done = stop_and_call(tid, calls);
    const ssize_t written = write(in.get(), &done, sizeof done);
    _exit(written == sizeof done ? 0 : 1);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  in.reset();
  if (tracer < 0) return report;
  if (uninterrupted([&] { return read(out.get(), &report, sizeof report); }) != sizeof report) report = {};
  int status = 0;
  uninterrupted([&] { return waitpid(tracer, &status, 0); });
  return report;
}

std::string program_of(pid_t pid) {
  const auto stat = ProcFs().stat(pid);
  return stat ? std::to_string(pid) + " (" + stat->comm + ")" : std::to_string(pid);
}

std::string words_of(RemoteRefusal refusal, pid_t pid) {
  const std::string process = "process " + program_of(pid);
  switch (refusal) {
    case RemoteRefusal::none:
      return "";
    case RemoteRefusal::gone:
      return "process " + std::to_string(pid) + ": there is none, or it has ended or become another program";
    case RemoteRefusal::zombie:
      return process + " has ended, and waits for its parent";
    case RemoteRefusal::thread:
      return std::to_string(pid) + " is a thread of process " +
             std::to_string(ProcFs().status(pid).value.value_or(ProcStatus{}).tgid.value_or(0)) +
             ": name the process";
    case RemoteRefusal::kernel_thread:
      return process + " is the kernel's, and has no memory of its own";
    case RemoteRefusal::denied:
      return process + " may not be traced: another user's, or protected; root may";
    case RemoteRefusal::traced:
      return process + " is traced by a debugger; try again when that has gone";
    case RemoteRefusal::foreign:
      return process + " is a 32-bit program, which is not supported";
    case RemoteRefusal::filtered:
      return process +
             " filters its system calls (seccomp); root may adopt it, where its kernel lets a filter rest";
    case RemoteRefusal::busy:
      return process +
             " could not be stopped without loss: its threads wait in calls that would be cut short; try "
             "again";
    case RemoteRefusal::failed:
      return process + " could not be made to make a system call";
  }
  return "";
}

bool is_32_bit(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/exe";
  const UniqueFd file(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  unsigned char ident[EI_NIDENT] = {};
  return read(file.get(), ident, sizeof ident) == sizeof ident && ident[EI_CLASS] == ELFCLASS32;
}

/// What can be told without stopping anything.
RemoteRefusal first_look(pid_t pid) {
  const ProcFs proc;
  const auto stat = proc.stat(pid);
  const auto status = proc.status(pid);
  if (pid <= 0 || !stat || !status) return RemoteRefusal::gone;
  if (status->tgid.value_or(static_cast<std::uint64_t>(pid)) != static_cast<std::uint64_t>(pid))
    return RemoteRefusal::thread;
  if (status->tracer_pid.value_or(0) != 0) return RemoteRefusal::traced;
  if (stat->kernel_thread) return RemoteRefusal::kernel_thread;
  if (!status->vm_rss) {
    // A leader that has left its threads behind looks like a zombie too.
    if (stat->state != 'Z') return RemoteRefusal::gone;
    const auto threads = proc.threads(pid);
    return threads && threads->size() > 1 ? RemoteRefusal::none : RemoteRefusal::zombie;
  }
  return is_32_bit(pid) ? RemoteRefusal::foreign : RemoteRefusal::none;
}

/// While a thread is traced, signals to it that the process ignores are queued all the same, and wake other
/// threads, whose waits may end with EINTR then (sig_ignored() and complete_signal() of the kernel's
/// kernel/signal.c). Such signals go to the leader, and SIGCHLD to the thread that started the child: so
/// these come last.
bool is_sent_signals(pid_t pid, pid_t tid) {
  if (tid == pid) return true;
  const std::string path = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/children";
  const UniqueFd file(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  char byte;
  return uninterrupted([&] { return read(file.get(), &byte, 1); }) == 1;
}

class Choice {
 public:
  explicit Choice(pid_t pid) : pid_(pid) {}

  /// The thread that would notice least; absent when there is none that may be stopped now.
  std::optional<pid_t> best(ThreadMoment worst, bool any) const {
    std::optional<pid_t> best;
    ThreadMoment best_moment = worst;
    const auto all = threads();
    for (const pid_t tid : all) {
      if (refused_.contains(tid) || (!any && all.size() > 1 && is_sent_signals(pid_, tid))) continue;
      const auto moment = moment_of(pid_, tid);
      if (!moment || *moment > worst || (best && *moment >= best_moment)) continue;
      best = tid;
      best_moment = *moment;
      if (best_moment == ThreadMoment::restarts) break;
    }
    return best;
  }
  void refuse(pid_t tid) { refused_.insert(tid); }
  /// Whether every thread refused.
  bool exhausted() const {
    const auto all = threads();
    return std::all_of(all.begin(), all.end(), [&](pid_t tid) { return refused_.contains(tid); });
  }

 private:
  std::vector<pid_t> threads() const { return ProcFs().threads(pid_).value.value_or(std::vector<pid_t>{}); }

  pid_t pid_;
  std::set<pid_t> refused_;
};

bool is_traced(pid_t tid) {
  const auto status = ProcFs().status(tid);
  return status && status->tracer_pid.value_or(0) != 0;
}

/// One stop that makes at least one of the calls, or the reason why there is none.
RemoteRefusal next_stop(pid_t pid, std::span<const SystemCall> calls, double patience, RemoteAnswer& answer) {
  Choice choice(pid);
  const auto begin = Clock::now();
  while (true) {
    const double waited = seconds_since(begin);
    if (waited > patience) return RemoteRefusal::busy;
    const auto tid =
        choice.best(waited < patience * kTimeLimitPatience ? ThreadMoment::running : ThreadMoment::late,
                    waited >= patience * kAnyPatience);
    if (!tid) {
      if (const auto now = first_look(pid); now != RemoteRefusal::none) return now;
      if (choice.exhausted()) return RemoteRefusal::denied;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    const StopReport report = in_tracer(*tid, calls.first(std::min(calls.size(), kCallsPerStop)));
    answer.results.insert(answer.results.end(), report.results, report.results + report.calls);
    answer.longest_stop = std::max(answer.longest_stop, report.seconds);
    switch (report.failure) {
      case TraceFailure::none:
        return RemoteRefusal::none;
      case TraceFailure::denied:
      case TraceFailure::gone:
        // ptrace(2) denies those that are just ending, too.
        if (report.calls) return RemoteRefusal::none;
        if (is_traced(*tid)) return RemoteRefusal::traced;
        if (const auto now = first_look(pid); now != RemoteRefusal::none) return now;
        choice.refuse(*tid);
        break;
      case TraceFailure::no_stop:
      case TraceFailure::in_sequence:
        break;
      case TraceFailure::foreign:
        return RemoteRefusal::foreign;
      case TraceFailure::filtered:
        return RemoteRefusal::filtered;
      case TraceFailure::no_call:
      case TraceFailure::broken:
        return RemoteRefusal::failed;
    }
  }
}

}  // namespace

RemoteAnswer call_in_process(pid_t pid, std::span<const SystemCall> calls, double patience) {
  RemoteAnswer answer;
  const auto whom = ProcFs().stat(pid);
  answer.refusal = first_look(pid);
  while (answer.refusal == RemoteRefusal::none && answer.results.size() < calls.size()) {
    const auto now = ProcFs().stat(pid);
    const bool same = now && now->start_time == whom->start_time && now->start_stack == whom->start_stack;
    answer.refusal =
        same ? next_stop(pid, calls.subspan(answer.results.size()), patience, answer) : RemoteRefusal::gone;
  }
  answer.why = words_of(answer.refusal, pid);
  return answer;
}

}  // namespace samepage

#include "group/guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <set>

#include "linux/system_call.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kAllIsWell = std::numeric_limits<std::uint64_t>::max();  // in place of a number

bool read_whole(int fd, void* to, std::size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = uninterrupted([&] { return read(fd, at, size); });
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

void write_whole(int fd, const void* from, std::size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t done = uninterrupted([&] { return write(fd, at, size); });
    if (done < 0) return;  // it was killed; nothing is lost but itself
    at += done;
    size -= static_cast<std::size_t>(done);
  }
}

/// Those of `watched` that still live, and who descends from them.
std::set<pid_t> family(const ProcFs& proc, const std::vector<ProcessId>& watched) {
  std::vector<ProcStat> alive;
  for (const pid_t pid : proc.pids())
    if (const auto stat = proc.stat(pid); stat && stat->state != 'Z') alive.push_back(*stat);
  std::set<pid_t> members;
  for (const ProcStat& stat : alive)
    if (std::any_of(watched.begin(), watched.end(), [&](const ProcessId& one) {
          return one.pid == stat.pid && one.start_time == stat.start_time;
        }))
      members.insert(stat.pid);
  for (std::size_t before = members.size() + 1; before != members.size();) {
    before = members.size();
    for (const ProcStat& stat : alive)
      if (members.contains(stat.ppid)) members.insert(stat.pid);
  }
  return members;
}

[[noreturn]] void stand_guard(const ProcFs& proc, int pipe) {
  setsid();  // what kills our process group does not reach it
  prctl(PR_SET_NAME, "samepage-guard");
  // Nobody waits for the end of a stream because of it.
  const int nothing = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(nothing, fd);
  dup2(pipe, 3);
  close_range(4, ~0U, 0);
  std::vector<ProcessId> watched;
  for (std::uint64_t number = 0; read_whole(3, &number, sizeof number);) {
    if (number == kAllIsWell) _exit(0);
    std::vector<ProcessId> processes(number);
    if (!read_whole(3, processes.data(), number * sizeof(ProcessId))) break;
    watched = std::move(processes);
  }
  constexpr int kRounds = 50;  // who may not be killed does not keep it
  for (int round = 0; round < kRounds; ++round) {
    const auto members = family(proc, watched);
    if (members.empty()) break;
    // All stand still before the first is killed, so that none is handed to another parent unseen.
    for (const pid_t pid : members) kill(pid, SIGSTOP);
    for (const pid_t pid : family(proc, watched)) kill(pid, SIGKILL);
    usleep(10'000);
  }
  _exit(0);
}

}  // namespace

Guard::Guard(const ProcFs& proc) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC), "pipe");
  const UniqueFd its_end(ends[0]);
  pipe_ = UniqueFd(ends[1]);
  pid_ = must(fork(), "fork");
  if (pid_ == 0) stand_guard(proc, its_end.get());
}

Guard::~Guard() {
  write_whole(pipe_.get(), &kAllIsWell, sizeof kAllIsWell);
  pipe_.reset();
  uninterrupted([&] { return waitpid(pid_, nullptr, 0); });
}

void Guard::watch(const std::vector<ProcessId>& processes) {
  const std::uint64_t number = processes.size();
  write_whole(pipe_.get(), &number, sizeof number);
  write_whole(pipe_.get(), processes.data(), number * sizeof(ProcessId));
}

}  // namespace samepage

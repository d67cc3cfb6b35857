#include "group/start.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "group/template_protocol.h"
#include "linux/system_call.hpp"

namespace samepage {
namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

/// In the child: never returns; what goes wrong is an errno in `failed`, which an exec closes.
[[noreturn]] void exec_child(const Start& start, const ExecSettings& settings, pid_t parent, int failed) {
  std::vector<std::string> argv = start.argv, environment = start.environment;
  for (std::string& entry : environment)
    if (entry.starts_with(SAMEPAGE_CONTROL "="))
      if (const auto at = entry.find("{pid}"); at != entry.npos)
        entry.replace(at, 5, std::to_string(getpid()));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  for (int i = 0; i < 3; ++i)
    if (start.streams[i] != i) dup2(start.streams[i], i);
  if (settings.control >= 0) fcntl(settings.control, F_SETFD, 0);
  sigprocmask(SIG_SETMASK, &settings.mask, nullptr);
  execve(start.file.c_str(), pointers(argv).data(), pointers(environment).data());
  const int error = errno;
  (void)!write(failed, &error, sizeof error);
  _exit(127);
}

}  // namespace

pid_t start_plainly(const Start& start, const ExecSettings& settings) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC), "pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = getpid();
  const pid_t child = must(fork(), "fork");
  if (child == 0) exec_child(start, settings, parent, write_end.get());
  write_end.reset();
  int error = 0;
  if (uninterrupted([&] { return read(read_end.get(), &error, sizeof error); }) == sizeof error) {
    uninterrupted([&] { return waitpid(child, nullptr, 0); });
    throw std::system_error(error, std::generic_category(), start.file.string());
  }
  return child;
}

}  // namespace samepage

#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "linux/unique_fd.hpp"

namespace samepage {

/// How one process is to be started.
struct Start {
  std::filesystem::path file;
  std::vector<std::string> argv;
  std::vector<std::string> environment;  ///< "NAME=value"
  std::string name;                      ///< of the process, where it is forked
  std::array<int, 3> streams{0, 1, 2};   ///< borrowed
};

/// Settings of a process that is about to be exec'd.
struct ExecSettings {
  sigset_t mask;
  int control = -1;  ///< a descriptor that stays open over the exec
};

/// Starts a program as a child that is killed when the calling process ends. In `environment`, "{pid}" of an
/// entry that begins with SAMEPAGE_CONTROL= is replaced by the child's PID. Throws std::system_error if the
/// fork or the exec fails, with the exec's errno.
pid_t start_plainly(const Start& start, const ExecSettings& settings);

}  // namespace samepage

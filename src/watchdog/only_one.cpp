#include "watchdog/only_one.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"

namespace samepage {

OnlyOne::OnlyOne(const std::filesystem::path& file)
    : lock_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (!lock_) throw UsageError(fmt::format("{}: {}", file.native(), error_text(errno)), 1);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t size = ::pread(lock_.get(), pid, sizeof pid - 1, 0);
    throw UsageError(
        fmt::format("a watchdog is running already{}", size > 0 ? fmt::format(" (PID {})", pid) : ""), 1);
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock_.get(), 0) != 0 || ::pwrite(lock_.get(), pid.data(), pid.size(), 0) < 0)
    throw UsageError(fmt::format("{}: {}", file.native(), error_text(errno)), 1);
}

}  // namespace samepage

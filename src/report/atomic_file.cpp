#include "report/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "linux/system_call.hpp"
#include "linux/unique_fd.hpp"
#include "linux/usage_error.hpp"

namespace samepage {

namespace {

[[noreturn]] void fail(const std::filesystem::path& file, int error) {
  throw UsageError(fmt::format("{}: {}", file.string(), error_text(error)), 1);
}

/// The errno that ended it, or 0.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = uninterrupted([&] { return write(fd, text.data(), text.size()); });
    if (done < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  return 0;
}

bool is_special(const std::filesystem::path& file) {
  struct stat info;
  return stat(file.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

}  // namespace

void write_atomically(const std::filesystem::path& file, std::string_view text) {
  if (is_special(file)) {  // a terminal, a pipe: never to be replaced by a file
    const UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (const int error = fd ? write_all(fd.get(), text) : errno) fail(file, error);
    return;
  }
  std::error_code dangling;
  const auto target = std::filesystem::canonical(file, dangling);  // a link stays a link
  const std::string name = dangling ? file.string() : target.string();
  std::string temporary = name + ".XXXXXX";
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) fail(file, errno);
  const mode_t mask = umask(0);
  umask(mask);
  int error = write_all(fd.get(), text);
  if (!error && (fchmod(fd.get(), 0666 & ~mask) < 0 || fsync(fd.get()) < 0 ||
                 rename(temporary.c_str(), name.c_str()) < 0))
    error = errno;
  if (!error) return;
  unlink(temporary.c_str());
  fail(file, error);
}

void expect_writable(const std::filesystem::path& file) {
  std::error_code unknown;
  if (std::filesystem::is_directory(file, unknown)) fail(file, EISDIR);
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  if (is_special(file) ? access(file.c_str(), W_OK) : access(folder.c_str(), W_OK | X_OK)) fail(file, errno);
}

}  // namespace samepage

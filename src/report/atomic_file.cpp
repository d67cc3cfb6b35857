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

void write_atomically(const std::filesystem::path& file, std::string_view text) {
  std::string temporary = file.string() + ".XXXXXX";
  const auto fail = [&](int error, bool made) {
    if (made) unlink(temporary.c_str());
    throw UsageError(fmt::format("{}: {}", file.string(), error_text(error)), 1);
  };
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) fail(errno, false);
  while (!text.empty()) {
    const ssize_t done = uninterrupted([&] { return write(fd.get(), text.data(), text.size()); });
    if (done < 0) fail(errno, true);
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  const mode_t mask = umask(0);
  umask(mask);
  if (fchmod(fd.get(), 0666 & ~mask) < 0 || fsync(fd.get()) < 0) fail(errno, true);
  if (rename(temporary.c_str(), file.c_str()) < 0) fail(errno, true);
}

}  // namespace samepage

#include "linux/kernel_pages.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "linux/system_call.hpp"

namespace samepage {

KernelPages::KernelPages(const std::filesystem::path& proc) {
  const std::string path = proc / "kpageflags";
  flags_ = UniqueFd(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
}

std::optional<bool> KernelPages::merged(std::uint64_t frame) const {
  constexpr int kKsm = 21;  // KPF_KSM of linux/kernel-page-flags.h
  std::uint64_t flags = 0;
  if (!flags_ || frame == 0) return std::nullopt;
  const ssize_t got = uninterrupted(
      [&] { return pread(flags_.get(), &flags, sizeof flags, static_cast<off_t>(frame * sizeof flags)); });
  if (got != sizeof flags) return std::nullopt;
  return (flags >> kKsm & 1) != 0;
}

}  // namespace samepage

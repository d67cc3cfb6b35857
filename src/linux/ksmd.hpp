#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

namespace samepage {

/// The kernel thread that merges. It starts at nice 5, where it starves beside busy programs.
class Ksmd {
 public:
  /// Found by name among the kernel's threads, so that no program called ksmd is taken for it; absent in a
  /// container that does not see the host's processes.
  static std::optional<Ksmd> find(const std::filesystem::path& proc = "/proc");

  std::optional<int> nice() const;
  /// False without CAP_SYS_NICE.
  bool set_nice(int value) const;

 private:
  explicit Ksmd(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

}  // namespace samepage

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace samepage {

/// The kernel thread that merges. It starts at nice 5, where it starves beside busy programs.
class Ksmd {
 public:
  /// Found by name among the kernel's threads, so that no program called ksmd is taken for it; absent in a
  /// container that does not see the host's processes.
  static std::optional<Ksmd> find(const std::filesystem::path& proc = "/proc");

  std::optional<int> nice() const;
  /// Seconds that it has run since boot.
  std::optional<double> cpu_seconds() const;
  /// Where in the kernel it has waited all of `seconds` without running, as root sees it; else empty. Absent,
  /// at once, unless it waits there now, and as soon as it runs. Before each pass it waits for a worker on
  /// every processor (lru_add_drain_all), and a program that keeps its processor busy was seen to hold that
  /// up for minutes (Linux 6.18).
  std::optional<std::string> stands_still(double seconds) const;
  /// False without CAP_SYS_NICE.
  bool set_nice(int value) const;

 private:
  Ksmd(pid_t pid, std::filesystem::path proc) : pid_(pid), proc_(std::move(proc)) {}

  std::string where() const;

  pid_t pid_;
  std::filesystem::path proc_;
};

}  // namespace samepage

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace samepage {

/// What became of a read or a write below /sys/kernel/mm/ksm.
enum class KsmAccess {
  ok,
  missing,  ///< ENOENT: this kernel is older than the file, or was built without KSM
  denied,   ///< EACCES, EPERM, EROFS: not root, or a container's read-only /sys
  refused,  ///< EINVAL, EBUSY…: the kernel does not take the value, or not now
};

/// The settings that Samepage changes. All may be read; see KsmSysfs::write for what may be written.
enum class KsmSetting { run, pages_to_scan, sleep_millisecs, advisor_mode, smart_scan };

struct KsmRead {
  KsmAccess access = KsmAccess::missing;
  std::string value;  ///< without the line's end; of a choice like "[none] scan-time" the chosen word
};

/// Host-wide counters; what the running kernel does not tell is absent, which is not zero.
struct KsmCounters {
  std::optional<std::uint64_t> pages_shared;    ///< merged pages that exist
  std::optional<std::uint64_t> pages_sharing;   ///< further mappings of them: pages saved
  std::optional<std::uint64_t> pages_unshared;  ///< looked at, unique so far
  std::optional<std::uint64_t> pages_volatile;  ///< changed between two looks
  std::optional<std::uint64_t> pages_scanned;
  std::optional<std::uint64_t> full_scans;  ///< passes over all registered memory that are complete
  std::optional<std::uint64_t> ksm_zero_pages;
  std::optional<std::int64_t> general_profit;  ///< bytes
};

/// Settings that Samepage only reads, and tells of.
struct KsmBounds {
  std::optional<std::uint64_t> max_page_sharing;    ///< mappings of one merged page
  std::optional<std::uint64_t> merge_across_nodes;  ///< missing without NUMA
};

/// The kernel's Samepage Merging as seen in sysfs (Documentation/admin-guide/mm/ksm.rst).
class KsmSysfs {
 public:
  explicit KsmSysfs(std::filesystem::path root = "/sys/kernel/mm/ksm") : root_(std::move(root)) {}

  KsmRead read(KsmSetting setting) const;
  /// Any other file there, such as "max_page_sharing"; absent where it is missing or may not be read.
  std::optional<std::string> text(const char* file) const;
  KsmCounters counters() const;
  KsmBounds bounds() const;

  /// `run` takes "0" and "1" alone: "2" un-merges the whole host, can run it out of memory, and is refused
  /// here.
  KsmAccess write(KsmSetting setting, std::string_view value) const;

  /// Writes "2": the kernel un-merges all pages of the host, during the call, and KSM stays off. The machine
  /// must be able to hold them; for nobody but a user who asked for just this.
  KsmAccess unmerge_host() const;

  /// Whether write() would be let in, found by opening the file and writing nothing.
  KsmAccess writable(KsmSetting setting) const;

 private:
  std::filesystem::path root_;
};

}  // namespace samepage

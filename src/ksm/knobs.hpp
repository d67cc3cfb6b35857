#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "linux/ksm_sysfs.hpp"
#include "linux/ksmd.hpp"

namespace samepage {

/// All that a burst changes, each by a name and a value in text, so that it can be written down and put back.
class KsmKnobs {
 public:
  KsmKnobs(const std::filesystem::path& sysfs, const std::filesystem::path& proc)
      : sysfs_(sysfs), ksmd_(Ksmd::find(proc)) {}

  /// Absent where this kernel has no such knob or keeps it from us.
  std::optional<std::string> get(const std::string& name) const;
  bool set(const std::string& name, const std::string& value) const;

  const KsmSysfs& sysfs() const { return sysfs_; }

 private:
  KsmSysfs sysfs_;
  std::optional<Ksmd> ksmd_;
};

}  // namespace samepage

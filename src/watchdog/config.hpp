#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "watchdog/limits.hpp"

namespace samepage {

/// One [[adopt]] table: every condition that is given must hold.
struct Rule {
  RuleLimits limits;
  std::optional<std::string> executable;  ///< pattern (glob(7)) for the program's whole path
  std::optional<uid_t> user;
  std::optional<std::string> cgroup;  ///< pattern for the path of its control group, or of one above
  std::optional<std::string> unit;    ///< pattern for the systemd unit: a part of the control group's path

  bool takes(const std::string& executable, uid_t user, const std::vector<std::string>& cgroups) const;
};

struct WatchdogConfig {
  PolicyLimits limits;
  std::vector<Rule> rules;
};

/// Throws UsageError with "FILE:LINE: KEY: what is wrong".
WatchdogConfig read_config(const std::filesystem::path& file);
/// `name` stands for the file in errors.
WatchdogConfig parse_config(std::string_view text, const std::string& name);

}  // namespace samepage

#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "watchdog/decision.hpp"
#include "watchdog/limits.hpp"
#include "watchdog/sample.hpp"

namespace samepage {

/// A recorded trace: a first line with format, version, limits and rules (again when they change), then one
/// line of JSON for each look. docs/watchdog.md describes it.
class TraceWriter {
 public:
  /// Throws UsageError when the file cannot be made.
  TraceWriter(const std::filesystem::path& file, const PolicyLimits& limits,
              const std::vector<RuleLimits>& rules);

  /// Limits and rules have changed. Throws UsageError when the file cannot be written, as the next one does.
  void change(const PolicyLimits& limits, const std::vector<RuleLimits>& rules);
  void add(const HostSample& sample);

 private:
  void put(const std::string& line);

  std::filesystem::path name_;
  std::ofstream file_;
};

/// The same of text that is in memory; `name` stands for the file in errors.
void replay_trace(std::istream& in, const std::string& name,
                  const std::function<void(double seconds, const Decision&)>& decided);

/// Gives every look of a trace to a fresh policy, and what it decides to `decided`. Throws UsageError with
/// "FILE:LINE: what is wrong".
void replay_trace(const std::filesystem::path& file,
                  const std::function<void(double seconds, const Decision&)>& decided);

}  // namespace samepage

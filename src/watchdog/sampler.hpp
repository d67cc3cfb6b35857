#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "ksm/lease.hpp"
#include "linux/ksmd.hpp"
#include "linux/proc_fs.hpp"
#include "watchdog/adopted_book.hpp"
#include "watchdog/config.hpp"
#include "watchdog/sample.hpp"

namespace samepage {

/// Takes looks at the host, cheaply: the list of all processes is gone through only when anonymous memory has
/// grown, something is asked about, or half a minute has passed; between that, only those that are large.
class Sampler {
 public:
  Sampler(const KsmPlaces& places, std::vector<Rule> rules);

  /// At the next look all processes are looked for, and held against these.
  void change(std::vector<Rule> rules);

  /// `seconds` of a clock that only goes forward. What has vanished is missing, and forgotten in `book`.
  HostSample look(double seconds, bool bursting, AdoptedBook& book, std::vector<pid_t> requests);

 private:
  struct Known {
    std::uint64_t start_time = 0;
    uid_t user = 0;
    std::string executable;
    std::optional<std::size_t> rule;
    bool matters = true;  ///< registered, or a rule takes it; others are seen when processes are looked for
    std::optional<bool> registered;  ///< found in smaps, where ksm_stat does not tell
    std::uint64_t faults = 0;        ///< when its page tables were last asked
    double asked_at = -1e9;
    std::optional<std::uint64_t> merged;  ///< what they said, until ksmd comes by
  };

  bool is_due(double seconds, std::uint64_t anonymous, bool bursting) const;
  void find_processes();
  std::optional<ProcessSeen> see(pid_t pid, Known& known, const AdoptedBook& book, double seconds,
                                 bool bursting) const;
  std::uint64_t still_merged(pid_t pid, Known& known, std::uint64_t counted, double seconds,
                             bool bursting) const;

  KsmSysfs sysfs_;
  ProcFs proc_;
  std::optional<Ksmd> ksmd_;
  std::vector<Rule> rules_;
  unsigned nodes_;
  std::map<pid_t, Known> known_;
  bool ksmtuned_ = false;
  double found_at_ = -1e9, cost_ = 0;
  std::uint64_t anonymous_floor_ = 0;  ///< the least since processes were looked for
};

}  // namespace samepage

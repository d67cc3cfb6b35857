#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ksm/adopt.hpp"

namespace samepage {

/// One process of an adoption or a release.
struct AdoptedProcess {
  pid_t pid = 0;
  std::string name;
  std::size_t ranges = 0;                    ///< that were chosen
  std::optional<std::uint64_t> worth_bytes;  ///< of them in pages that have a twin; absent: nobody compared
  AdoptResult result;
};

/// "done", "refused", "not_supported", "no_memory", "partly", and "nothing" where no range was worth it.
const char* state_name(const AdoptedProcess& process);

/// A row for each process, then a line for each that was refused.
std::string adopt_table(const std::vector<AdoptedProcess>& processes, bool dry_run);
std::string release_table(const std::vector<AdoptedProcess>& processes);
std::string adopt_json(const std::vector<AdoptedProcess>& processes);

}  // namespace samepage

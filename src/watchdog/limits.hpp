#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace samepage {

/// When KSM is worth its CPU. Seconds, bytes, cores.
struct PolicyLimits {
  double cpu = 0.10;                 ///< what ksmd may take of one core, averaged over `window`…
  double cpu_under_pressure = 0.50;  ///< …and while memory is short
  double window = 600;
  double gain = 16 << 20;          ///< a pass must merge so many bytes for each second of ksmd's CPU
  std::uint64_t worth = 16 << 20;  ///< nothing is begun for less
  double quiet = 0.5;              ///< a process that has not grown for this long has settled
  double longest_wait = 10;        ///< one that never settles is merged after this all the same
  double patience = 60;            ///< a burst in which ksmd completes no pass for this long is given up
  double first_retry = 10, longest_retry = 600;  ///< back-off from memory that changes
  double pays = 0.05;         ///< an adopted process of which less than this part is merged…
  int bursts_to_pay = 2;      ///< …after so many bursts…
  double time_to_pay = 60;    ///< …and so long, is released
  double short_of = 0.05;     ///< memory is short when less than this part is available…
  double pressure = 10;       ///< …or tasks stalled for this many per cent of ten seconds
  double request_pause = 10;  ///< between a burst's end and a request without new memory
};

/// Whom a rule takes, beside the conditions that the sampler has checked.
struct RuleLimits {
  std::string name;
  std::size_t copies = 2;                  ///< similar processes of one user that must be there
  std::uint64_t least = 16 << 20;          ///< bytes of anonymous memory that a process must have
  std::size_t most_processes = SIZE_MAX;   ///< adopted under this rule at one time
  std::uint64_t most_memory = UINT64_MAX;  ///< bytes, of all that are adopted under this rule
  bool across_users = false;               ///< may be adopted beside processes of other users
};

}  // namespace samepage

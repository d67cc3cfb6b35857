#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace samepage {

/// What the policy wants done, and why, in words for a log.
struct Decision {
  enum class What {
    burst,    ///< let ksmd work fast
    rest,     ///< put KSM's settings back
    adopt,    ///< register the memory of `pid`
    release,  ///< and take it out again
    accept,   ///< the request for `pid`
    decline,
    note,  ///< nothing is done
  };

  What what = What::note;
  std::string reason;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::size_t rule = 0;  ///< of adopt: under which one

  bool operator==(const Decision&) const = default;
};

/// "burst: 4 processes hold 1000 MB that is new".
inline std::string text_of(const Decision& decision) {
  switch (decision.what) {
    case Decision::What::burst:
      return "burst: " + decision.reason;
    case Decision::What::rest:
      return "rest: " + decision.reason;
    case Decision::What::adopt:
      return fmt::format("adopt {}: {}", decision.pid, decision.reason);
    case Decision::What::release:
      return fmt::format("release {}: {}", decision.pid, decision.reason);
    case Decision::What::accept:
      return fmt::format("request for {}: accepted, {}", decision.pid, decision.reason);
    case Decision::What::decline:
      return fmt::format("request for {}: declined, {}", decision.pid, decision.reason);
    case Decision::What::note:
      break;
  }
  return "note: " + decision.reason;
}

inline std::string megabytes(double bytes) {
  return fmt::format("{:.0f} MB", bytes / 1e6);
}

}  // namespace samepage

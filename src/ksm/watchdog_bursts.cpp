#include "ksm/watchdog_bursts.hpp"

#include <sys/socket.h>

#include <string>
#include <utility>

#include "ksm/watchdog_socket.h"
#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

UniqueFd connected(const KsmPlaces& places) {
  return UniqueFd(samepage_watchdog_connect((places.run / "watchdog.sock").c_str()));
}

}  // namespace

std::optional<WatchdogBursts> WatchdogBursts::find(const KsmPlaces& places) {
  return connected(places) ? std::optional(WatchdogBursts(places)) : std::nullopt;
}

bool WatchdogBursts::worth_asking(const KsmGroupSample& sample) {
  const bool before = std::exchange(wanted_, pace_.next(pace_sample(sample, places_)));
  return wanted_ && !before;
}

void WatchdogBursts::ask(pid_t pid) const {
  const std::string line = "burst " + std::to_string(pid) + '\n';
  if (const UniqueFd fd = connected(places_)) ::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

}  // namespace samepage

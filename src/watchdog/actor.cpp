#include "watchdog/actor.hpp"

#include "ksm/adopt.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {
namespace {

std::optional<std::string> why_not(const AdoptResult& result) {
  return result ? std::nullopt : std::optional(result.why);
}

}  // namespace

Registrar whole_process_registrar() {
  return {.adopt = [](pid_t pid) { return why_not(adopt_whole(pid)); },
          .release = [](pid_t pid) { return why_not(release(pid)); }};
}

std::optional<std::string> Actor::carry_out(const Decision& decision, WatchdogTally& tally) {
  switch (decision.what) {
    case Decision::What::burst:
      ++tally.bursts;
      if (lease_ && !lease_->set_bursting(true)) return "KSM's settings could not be taken";
      return std::nullopt;
    case Decision::What::rest:
      if (lease_) lease_->set_bursting(false);
      return std::nullopt;
    case Decision::What::adopt:
      return adopt(decision, tally);
    case Decision::What::release:
      return release(decision, tally);
    case Decision::What::accept:
    case Decision::What::decline:
      ++tally.requests;
      return std::nullopt;
    case Decision::What::note:
      break;
  }
  return std::nullopt;
}

/// The PID may belong to another process by now.
bool Actor::is_still(const Decision& decision) const {
  const auto stat = ProcFs(proc_).stat(decision.pid);
  return stat && stat->start_time == decision.start_time;
}

std::optional<std::string> Actor::adopt(const Decision& decision, WatchdogTally& tally) {
  if (!lease_) {
    book_.set(decision.pid, decision.start_time, AdoptedBook::State::refused);
    return std::nullopt;
  }
  if (!is_still(decision)) return std::nullopt;
  // Written down before it is done: a daemon killed in between takes it for adopted, and releases what never
  // pays.
  book_.set(decision.pid, decision.start_time, AdoptedBook::State::adopted);
  book_.save();
  const auto failure = registrar_.adopt(decision.pid);
  if (!failure) {
    ++tally.adopted;
    return std::nullopt;
  }
  ++tally.adoptions_failed;
  book_.set(decision.pid, decision.start_time, AdoptedBook::State::refused);
  book_.save();
  return fmt::format("{} is not adopted: {}", decision.pid, *failure);
}

std::optional<std::string> Actor::release(const Decision& decision, WatchdogTally& tally) {
  const auto failure = lease_ && is_still(decision) ? registrar_.release(decision.pid) : std::nullopt;
  book_.set(decision.pid, decision.start_time, AdoptedBook::State::refused);
  if (!lease_) return std::nullopt;
  book_.save();
  if (!failure) ++tally.released;
  return failure ? std::optional(fmt::format("{} is not released: {}", decision.pid, *failure))
                 : std::nullopt;
}

}  // namespace samepage

#include "farm/own_loop.hpp"

#include <unistd.h>

#include <cstdio>
#include <optional>

#include "farm/housekeeping.hpp"

namespace samepage::farm {

namespace {

class OwnLoop {
 public:
  OwnLoop(const Job& job, const SharedState& shared, const Lanes& lanes, const Placement& placement,
          pid_t supervisor)
      : job_(job), shared_(shared), lanes_(lanes), placement_(placement), supervisor_(supervisor) {}

  void sit_down(const Seat& seat) {
    seat_ = seat;
    desk().pid.store(getpid(), std::memory_order_release);
    placement_.take_place(seat.desk);
    if (job_.worker_begins) job_.worker_begins(seat.desk);
    housekeeping_.emplace(job_, shared_, seat);
    desk().started_ns.store(coarse_ns(), std::memory_order_release);
  }

  Next between_events() {
    Desk& here = desk();
    here.events_done.fetch_add(1, std::memory_order_relaxed);
    housekeeping_->event_done();
    housekeeping_->pause();
    here.started_ns.store(coarse_ns(), std::memory_order_release);
    switch (here.command.load(std::memory_order_acquire)) {
      case Command::retire:
        told_to_leave_ = true;
        return Next::leave;
      case Command::promote:
        return serve();
      default:
        return Next::go_on;
    }
  }

  void end() {
    housekeeping_->sample(true);
    desk().started_ns.store(0, std::memory_order_relaxed);
    desk().phase.store(told_to_leave_ ? Phase::ended : Phase::finished, std::memory_order_release);
  }

  unsigned worker() const { return seat_.desk; }

 private:
  Desk& desk() const { return shared_.desk(seat_.desk); }

  Next serve() {
    Desk& here = desk();
    const Lane& lane = lanes_[here.lane.load(std::memory_order_relaxed)];
    here.started_ns.store(0, std::memory_order_relaxed);
    if (!fit_as_template(job_, lane, here, seat_.desk)) return Next::go_on;
    housekeeping_->sample(true);
    here.phase.store(Phase::serving, std::memory_order_release);
    sit_down(serve_as_template(lane, supervisor_));
    return Next::begin;
  }

  const Job& job_;
  const SharedState& shared_;
  const Lanes& lanes_;
  const Placement& placement_;
  const pid_t supervisor_;
  Seat seat_{};
  std::optional<Housekeeping> housekeeping_;
  bool told_to_leave_ = false;
};

OwnLoop* present = nullptr;  // in workers with a loop of their own

}  // namespace

Next between_events() {
  return present ? present->between_events() : Next::go_on;
}

unsigned this_worker() {
  return present ? present->worker() : 0;
}

void run_own_loop(const Job& job, const SharedState& shared, const Lanes& lanes, const Placement& placement,
                  pid_t supervisor, const Seat& seat) {
  OwnLoop loop(job, shared, lanes, placement, supervisor);
  present = &loop;
  loop.sit_down(seat);
  job.own_loop(seat.desk);
  loop.end();
  std::fflush(nullptr);
  _exit(0);
}

}  // namespace samepage::farm

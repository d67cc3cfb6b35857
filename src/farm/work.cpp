#include "farm/work.hpp"

#include <unistd.h>

#include <cstdio>

#include "farm/own_loop.hpp"
#include "farm/worker.hpp"

namespace samepage::farm {

bool fit_as_template(const Job& job, const Lane& lane, Desk& desk, unsigned index) {
  if (job.before_template) job.before_template();
  if (!job.check_template || job.check_template()) return true;
  lane.tell_supervisor({Message::What::rejected, index, 0, getpid(), 0});
  while (desk.command.load(std::memory_order_acquire) == Command::promote)
    desk.bell.wait([&] { return desk.command.load(std::memory_order_acquire) != Command::promote; });
  if (job.worker_begins) job.worker_begins(index);
  return false;
}

void work(const Job& job, const SharedState& shared, const Lanes& lanes, const Placement& placement,
          pid_t supervisor, Seat seat) {
  shared.desk(seat.desk).pid.store(getpid(), std::memory_order_release);
  try {
    if (job.own_loop) run_own_loop(job, shared, lanes, placement, supervisor, seat);
    for (;;) {
      Desk& desk = shared.desk(seat.desk);
      placement.take_place(seat.desk);
      if (job.worker_begins) job.worker_begins(seat.desk);
      Worker worker(job, shared, seat);
      for (;;) {
        const Worker::End end = worker.run();
        const Lane& lane = lanes[desk.lane.load(std::memory_order_relaxed)];
        if (end == Worker::End::promoted && !fit_as_template(job, lane, desk, seat.desk)) continue;
        worker.sample_end();
        if (end != Worker::End::promoted) {
          desk.phase.store(Phase::ended, std::memory_order_release);
          std::fflush(nullptr);
          _exit(0);
        }
        desk.phase.store(Phase::serving, std::memory_order_release);
        seat = serve_as_template(lane, supervisor);
        shared.desk(seat.desk).pid.store(getpid(), std::memory_order_release);
        break;
      }
    }
  } catch (const std::exception& error) {
    Desk& desk = shared.desk(seat.desk);
    if (desk.started_ns.load(std::memory_order_relaxed) == 0) desk.message.set(error.what());
  } catch (...) {
  }
  std::fflush(nullptr);
  _exit(kEventFailed);
}

}  // namespace samepage::farm

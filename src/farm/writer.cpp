#include "farm/writer.hpp"

#include <unistd.h>

#include "linux/system_call.hpp"

namespace samepage::farm {

Writer::Writer(const SharedState& shared, Committer& committer)
    : shared_(shared), committer_(committer), dispatch_(shared.control().dispatch) {
  for (unsigned worker = 0; worker < shared.workers(); ++worker) rings_.emplace_back(shared.ring(worker));
  tell();
}

bool Writer::run() {
  Control& control = shared_.control();
  for (;;) {
    const bool stop = control.stop.load(std::memory_order_acquire);
    const bool got = collect();
    acknowledge_deaths();
    if (stop) break;
    const auto due = committer_.commit_if_due();
    if (due || got) tell();
    if (all_received()) {
      // A job whose reader failed ends with what there was, so that it can be resumed.
      if (!control.reader_error.get().empty()) break;
      const std::string merged = committer_.finish();
      (void)!uninterrupted([&] { return pwrite(shared_.merged_file(), merged.data(), merged.size(), 0); });
      tell();
      control.finished.store(1, std::memory_order_release);
      for (Desk& desk : shared_.desks()) desk.bell.ring_anyway();
      return true;
    }
    if (got) continue;
    std::optional<std::chrono::nanoseconds> at_most;
    if (due) at_most = std::max(std::chrono::nanoseconds(0), *due - std::chrono::steady_clock::now());
    control.writer_bell.wait(
        [&] {
          for (unsigned worker = 0; worker < shared_.workers(); ++worker) {
            if (shared_.ring(worker).used()) return true;
            const Desk& desk = shared_.desk(worker);
            if (desk.dead.load(std::memory_order_acquire) != desk.drained.load(std::memory_order_relaxed))
              return true;
          }
          return all_received() || control.stop.load(std::memory_order_acquire);
        },
        at_most);
  }
  committer_.break_off();
  tell();
  return false;
}

bool Writer::collect() {
  bool got = false;
  RecordReader::Record record;
  Control& control = shared_.control();
  for (unsigned worker = 0; worker < rings_.size(); ++worker) {
    while (rings_[worker].next(record)) {
      if (dispatch_.receive(record.block)) committer_.add(record.bytes);
      got = true;
    }
    if (!rings_[worker].took_bytes()) continue;
    got = true;
    Desk& desk = shared_.desk(worker);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (desk.waits_for_room.load(std::memory_order_relaxed)) desk.bell.ring_anyway();
  }
  if (got && control.reader_bell.someone_sleeps() &&
      dispatch_.received() >= control.reader_wants.load(std::memory_order_relaxed))
    control.reader_bell.ring_anyway();
  return got;
}

/// What a dead worker had handed over is taken: its desk is free, and the supervisor may ask for what is
/// missing.
void Writer::acknowledge_deaths() {
  for (unsigned worker = 0; worker < rings_.size(); ++worker) {
    Desk& desk = shared_.desk(worker);
    const std::uint32_t dead = desk.dead.load(std::memory_order_acquire);
    if (dead == desk.drained.load(std::memory_order_relaxed)) continue;
    RecordReader::Record record;
    while (rings_[worker].next(record))
      if (dispatch_.receive(record.block)) committer_.add(record.bytes);
    rings_[worker].start_afresh();
    desk.drained.store(dead, std::memory_order_release);
    shared_.call_supervisor();
  }
}

bool Writer::all_received() const {
  return dispatch_.received() == dispatch_.total();
}

void Writer::tell() {
  Control& control = shared_.control();
  control.events_done.store(committer_.events(), std::memory_order_relaxed);
  control.quarantined.store(committer_.quarantined(), std::memory_order_relaxed);
}

}  // namespace samepage::farm

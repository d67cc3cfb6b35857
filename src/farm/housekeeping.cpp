#include "farm/housekeeping.hpp"

#include <algorithm>
#include <utility>

#include "farm/memory.hpp"

namespace samepage::farm {

namespace {

bool in_worker = false, offered = false;

}  // namespace

void offer_as_template() {
  offered = in_worker;
}

Housekeeping::Housekeeping(const Job& job, const SharedState& shared, const Seat& seat)
    : options_(job.options), shared_(shared), seat_(seat), desk_(shared.desk(seat.desk)) {
  desk_.samples_taken.store(0, std::memory_order_relaxed);
  desk_.phase.store(Phase::working, std::memory_order_relaxed);
  in_worker = true;
  offered = false;
  sample(false);
}

void Housekeeping::sample(bool end) {
  const std::uint32_t taken = desk_.samples_taken.load(std::memory_order_relaxed);
  if (taken == desk_.samples.size()) return;
  desk_.samples[taken] = measure_memory(seat_.desk, events_, end, seat_.generation);
  desk_.samples_taken.store(taken + 1, std::memory_order_release);
}

void Housekeeping::event_done() {
  ++events_;
  const auto& at = options_.memory_at;
  if (events_ == 1 || std::find(at.begin(), at.end(), events_) != at.end()) sample(false);
  look_at_growth();
}

void Housekeeping::pause() {
  if (std::exchange(offered, false)) {
    desk_.offers.store(1, std::memory_order_release);
    shared_.call_supervisor();
  }
  sharing_.reshare(options_.reshare_budget);
}

/// Whether this process has built what all need, and should offer itself: after the events given, or when its
/// private memory has stopped growing.
void Housekeeping::look_at_growth() {
  if (seat_.warming_up && options_.warm_up_events == events_) offered = true;
  const bool warming = seat_.warming_up && options_.warm_up_measured;
  if ((!warming && !options_.refork_above) || events_ != look_at_) return;
  look_at_ *= 2;
  constexpr std::uint64_t kLastLook = 1 << 10, kNoiseKb = 512;
  const std::uint64_t before =
      std::exchange(looked_kb_, measure_memory(seat_.desk, events_, false, 0).private_kb);
  if (look_at_ > 8 && looked_kb_ <= before + std::max(before / 50, kNoiseKb)) {
    // What a re-fork did not help against once will hardly go away the next time: the bar rises.
    offered = warming || looked_kb_ >= (options_.refork_above >> 10) << seat_.generation;
  } else if (warming && look_at_ > kLastLook) {
    offered = true;
  }
}

}  // namespace samepage::farm

#include "farm/shared_state.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "farm/block_limits.hpp"
#include "linux/system_call.hpp"

namespace samepage::farm {

namespace {

/// Room for the reasons of all events that can be on their way to quarantine: of one block per worker.
std::size_t reasons_for(const Options& options) {
  return std::size_t{options.workers} * BlockLimits(options).most_events() + 1;
}

std::size_t header_round(std::size_t bytes) {
  return bytes + sizeof(EventHeader) + alignof(EventHeader);
}

}  // namespace

SharedState::SharedState(const Options& options)
    : workers_(options.workers),
      reason_count_(reasons_for(options)),
      memory_(sizeof(Control) + workers_ * (sizeof(Desk) + sizeof(ByteRing::Counters)) +
              reason_count_ * sizeof(Reason)),
      rings_(workers_ * kRingBytes),
      arena_(
          std::max(options.in_flight_bytes, large_events(options) * header_round(options.max_event_bytes))) {
  std::byte* at = memory_.data();
  control_ = reinterpret_cast<Control*>(at);
  desks_ = reinterpret_cast<Desk*>(at += sizeof(Control));
  counters_ = reinterpret_cast<ByteRing::Counters*>(at += workers_ * sizeof(Desk));
  reasons_ = reinterpret_cast<Reason*>(at + workers_ * sizeof(ByteRing::Counters));
  calls_ = UniqueFd(must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  merged_ = UniqueFd(must(memfd_create("samepage-merged", MFD_CLOEXEC), "memfd_create"));
}

void SharedState::call_supervisor() const {
  const std::uint64_t one = 1;
  (void)!write(calls_.get(), &one, sizeof one);
}

std::uint64_t coarse_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace samepage::farm

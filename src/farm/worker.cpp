#include "farm/worker.hpp"

#include <exception>

namespace samepage::farm {

Worker::Worker(const Job& job, const SharedState& shared, const Seat& seat)
    : job_(job),
      shared_(shared),
      index_(seat.desk),
      desk_(shared.desk(seat.desk)),
      dispatch_(shared.control().dispatch),
      ring_(shared.ring(seat.desk)),
      housekeeping_(job, shared, seat) {}

Worker::End Worker::run() {
  const auto told_to_leave = [&] { return desk_.command.load(std::memory_order_acquire) != Command::none; };
  const auto finished = [&] { return shared_.control().finished.load(std::memory_order_acquire) != 0; };
  for (;;) {
    if (told_to_leave()) {
      shared_.control().writer_bell.ring();
      return desk_.command.load(std::memory_order_acquire) == Command::promote ? End::promoted : End::retired;
    }
    if (const auto number = dispatch_.claim(index_)) {
      process(*number);
      housekeeping_.pause();
      continue;
    }
    if (finished()) return End::done;
    // Nobody else will ask the writer to take what is left in the ring.
    shared_.control().writer_bell.ring();
    dispatch_.set_sleeping(index_, true);
    desk_.bell.wait([&] { return dispatch_.something_ready() || finished() || told_to_leave(); });
    dispatch_.set_sleeping(index_, false);
  }
}

void Worker::process(std::uint64_t number) {
  const Dispatch::Block& block = dispatch_.block(number);
  record_.begin(block.first_index);
  if (job_.merged) job_.merged->clear();
  const std::uint64_t began = steady_ns();
  std::uint64_t offset = block.first_event;
  for (std::uint32_t i = 0; i < block.events; ++i) {
    const EventHeader& header = shared_.event(offset);
    desk_.event.store(i, std::memory_order_relaxed);
    process_event(header, {shared_.event_bytes(offset), header.bytes});
    offset = header.next;
  }
  desk_.busy_ns.store(desk_.busy_ns.load(std::memory_order_relaxed) + (steady_ns() - began),
                      std::memory_order_relaxed);
  desk_.events_done.store(desk_.events_done.load(std::memory_order_relaxed) + block.events,
                          std::memory_order_relaxed);
  record_.end(job_.merged ? job_.merged->save() : std::string());
  hand_over(number);
}

void Worker::process_event(const EventHeader& header, std::span<const std::byte> bytes) {
  if (header.verdict) {
    record_.add_quarantined(header.number, shared_.reasons()[header.verdict - 1].get(), bytes);
    return;
  }
  output_.clear();
  desk_.started_ns.store(coarse_ns(), std::memory_order_release);
  try {
    job_.process({header.number, event_seed(job_.options.seed, header.number), bytes, header.attempts},
                 output_);
  } catch (const std::exception& error) {
    desk_.message.set(error.what());
    throw;
  } catch (...) {
    desk_.message.set("something that is not a std::exception");
    throw;
  }
  desk_.started_ns.store(0, std::memory_order_release);
  record_.add_output(header.number, output_.bytes());
  housekeeping_.event_done();
}

void Worker::hand_over(std::uint64_t number) {
  const auto bytes = record_.bytes();
  const RecordHeader header{number, bytes.size()};
  for (auto rest : {std::as_bytes(std::span(&header, 1)), bytes}) {
    while (!rest.empty()) {
      const std::size_t written = ring_.write(rest);
      rest = rest.subspan(written);
      if (rest.empty()) break;
      desk_.waits_for_room.store(1, std::memory_order_seq_cst);
      shared_.control().writer_bell.ring();
      desk_.bell.wait([&] { return ring_.used() < ring_.capacity(); });
      desk_.waits_for_room.store(0, std::memory_order_relaxed);
    }
  }
  ring_writer_now_and_then();
}

/// A wake-up costs more than a short event: once in a while is enough while there is more to do.
void Worker::ring_writer_now_and_then() {
  constexpr std::uint64_t kPauseNs = 300'000;
  const std::uint64_t now = steady_ns();
  if (now - rang_ns_ < kPauseNs && ring_.used() < ring_.capacity() / 2) return;
  rang_ns_ = now;
  shared_.control().writer_bell.ring();
}

}  // namespace samepage::farm

#include "farm/reader.hpp"

#include <utility>

namespace samepage::farm {

namespace {

constexpr std::uint64_t kNotDelivered =
    ~std::uint64_t{0};  // the number of an event whose bytes are not all there

}  // namespace

DoneEvents::DoneEvents(const Committed& committed) : events_(committed.events) {
  for (const Committed::Ahead& ahead : committed.ahead)
    ahead_.emplace_back(ahead.first_index, ahead.first_index + ahead.events);
}

bool DoneEvents::contains(std::uint64_t index) const {
  if (index < events_) return true;
  for (const auto& [first, end] : ahead_)
    if (index >= first && index < end) return true;
  return false;
}

std::uint64_t DoneEvents::count() const {
  std::uint64_t count = events_;
  for (const auto& [first, end] : ahead_) count += end - first;
  return count;
}

Reader::Reader(const Job& job, const SharedState& shared, DoneEvents done)
    : job_(job),
      shared_(shared),
      done_(std::move(done)),
      limits_(job.options, job.merged != nullptr),
      dispatch_(shared.control().dispatch),
      arena_(shared.arena_bytes(), job.options.in_flight_bytes, SharedState::large_events(job.options)) {}

void Reader::run() {
  Control& control = shared_.control();
  try {
    deliver_all();
  } catch (const std::exception& error) {
    control.reader_error.set(
        error.what());  // before the total is told, so that the job is not taken for complete
    if (block_.events && last_->number == kNotDelivered) --block_.events;
  }
  publish();
  dispatch_.set_total(dispatch_.published());
  control.writer_bell.ring_anyway();
}

void Reader::deliver_all() {
  const std::unique_ptr<Source> source = job_.source();
  for (;;) {
    number_ = index_;
    if (!source->next(*this)) break;
    if (done_.contains(index_)) {
      ++index_;
      continue;
    }
    last_->number = number_;
    ++index_;
    shared_.control().events_read.store(index_, std::memory_order_relaxed);
    if (limits_.full(block_.events, block_bytes_, mean_event_ns()) ||
        (!limits_.is_fixed() && (!source->ready() || dispatch_.someone_may_sleep())))
      publish();
  }
  if (index_ == 0) throw JobError("the source has no event");
  if (index_ < done_.count()) throw JobError("the source has fewer events than the journal says were done");
}

std::span<std::byte> Reader::allocate(std::size_t size) {
  if (size > job_.options.max_event_bytes) {
    throw JobError("event " + std::to_string(number_) + " has " + std::to_string(size) +
                   " bytes; the limit (max_event_bytes) is " + std::to_string(job_.options.max_event_bytes));
  }
  if (done_.contains(index_)) {
    dropped_.resize(size);
    return dropped_;
  }
  if (limits_.full_before(block_.events, block_bytes_, size)) publish();
  recycle();
  std::optional<std::uint64_t> offset;
  while (!(offset = arena_.allocate(size))) {
    if (!limits_.is_fixed()) publish();
    wait_for_room();
  }
  EventHeader& header = shared_.event(*offset);
  header = {kNotDelivered, size, 0, 0, 0};
  if (block_.events == 0) {
    block_.first_index = index_;
    block_.first_event = *offset;
  } else {
    last_->next = *offset;
  }
  ++block_.events;
  block_bytes_ += size;
  last_ = &header;
  return {shared_.event_bytes(*offset), size};
}

void Reader::publish() {
  if (block_.events == 0) return;
  recycle();
  while (!dispatch_.has_free_slot()) wait_for_room();
  published_events_.push_back(block_.events);
  dispatch_.publish(block_);
  block_ = {};
  block_bytes_ = 0;
  wake_worker();
}

void Reader::recycle() {
  while (dispatch_.recycle()) {
    for (std::uint32_t i = 0; i < published_events_.front(); ++i) arena_.free_oldest();
    published_events_.pop_front();
  }
}

/// Until half of what is in flight has been done: that is worth a wake-up.
void Reader::wait_for_room() {
  Control& control = shared_.control();
  const std::uint64_t received = dispatch_.received(), in_flight = dispatch_.published() - received;
  const std::uint64_t enough = received + (in_flight + 1) / 2;
  control.reader_wants.store(enough, std::memory_order_relaxed);
  control.reader_bell.wait([&] { return dispatch_.received() >= enough; });
  recycle();
}

void Reader::wake_worker() {
  if (const auto worker = dispatch_.take_sleeper()) shared_.desk(*worker).bell.ring_anyway();
}

/// As the workers measure it, looked up now and then.
std::uint64_t Reader::mean_event_ns() {
  constexpr std::uint64_t kLookEvery = 16;
  if (limits_.is_fixed() || dispatch_.published() < mean_at_block_ + kLookEvery) return mean_ns_;
  mean_at_block_ = dispatch_.published();
  std::uint64_t events = 0, ns = 0;
  for (const Desk& desk : shared_.desks()) {
    events += desk.events_done.load(std::memory_order_relaxed);
    ns += desk.busy_ns.load(std::memory_order_relaxed);
  }
  return mean_ns_ = events ? ns / events + 1 : 0;
}

}  // namespace samepage::farm

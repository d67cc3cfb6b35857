#include "event_file.hpp"

#include <samepage/farm.hpp>
#include <utility>

#include "units.hpp"

namespace reco {

namespace {

template <class Work>
auto blaming_events(Work work) {
  try {
    return work();
  } catch (const samepage::farm::JobError& error) {
    throw UsageError(std::string("events ") + error.what());
  }
}

}  // namespace

EventFile::EventFile(std::string path, int times, Slice slice)
    : path_(std::move(path)), times_(times), slice_(slice) {
  blaming_events([&] { file_.emplace(path_); });
}

std::optional<EventText> EventFile::next() {
  const std::lock_guard lock(mutex_);
  return blaming_events([&]() -> std::optional<EventText> {
    for (EventText event;;) {
      if (!file_->next(event.text)) {
        if (replay_ + 1 >= times_) return std::nullopt;
        ++replay_;
        file_.emplace(path_);
        continue;
      }
      event.number = number_++;
      event.replay = replay_;
      if (slice_.contains(event.number)) return event;
    }
  });
}

}  // namespace reco

#include "event_file.hpp"

#include <string_view>
#include <utility>

#include "units.hpp"

namespace reco {

namespace {

constexpr std::string_view kVersionLine = "HepMC::Version ";
constexpr std::string_view kFirstLine = "HepMC::Asciiv3-START_EVENT_LISTING\n";
constexpr std::string_view kLastLine = "HepMC::Asciiv3-END_EVENT_LISTING\n";

bool begins_event(std::string_view line) {
  return line.starts_with("E ");
}

}  // namespace

EventFile::EventFile(std::string path, int times, Slice slice)
    : path_(std::move(path)), times_(times), slice_(slice) {
  open();
}

void EventFile::fail(const std::string& what) const {
  throw UsageError("events " + path_ + ": " + what);
}

void EventFile::open() {
  lines_.emplace(path_);
  header_.clear();
  std::string_view line;
  if (!lines_->next(line) || !line.starts_with(kVersionLine)) fail("not a HepMC3 file");
  header_ += line;
  if (!lines_->next(line) || line != kFirstLine) fail("not a HepMC3 file in the format Asciiv3");
  do {
    header_ += line;
    if (!lines_->next(line)) fail("truncated, its last line is missing");
  } while (!begins_event(line) && line != kLastLine);
  if (line == kLastLine) fail("holds no event");
  pending_ = line;
}

std::optional<EventText> EventFile::next() {
  const std::lock_guard lock(mutex_);
  for (;;) {
    if (pending_.empty()) {
      if (replay_ + 1 >= times_) return std::nullopt;
      ++replay_;
      open();
    }
    const bool wanted = slice_.contains(number_);
    EventText event{number_, replay_, {}};
    if (wanted) event.text = header_ + pending_;
    std::string_view line;
    for (;;) {
      if (!lines_->next(line)) fail("truncated, its last line is missing");
      if (begins_event(line) || line == kLastLine) break;
      if (wanted) event.text += line;
    }
    pending_ = line == kLastLine ? std::string_view() : line;
    ++number_;
    if (wanted) {
      event.text += kLastLine;
      return event;
    }
  }
}

}  // namespace reco

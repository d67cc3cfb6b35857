#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <samepage/hep.hpp>
#include <string>

namespace reco {

/// Which events to process: those whose number is `index` modulo `count`.
struct Slice {
  std::int64_t index = 0, count = 1;
  bool contains(std::int64_t number) const { return number % count == index; }
};

/// One event as HepMC3 text, not yet parsed.
struct EventText {
  std::int64_t number;  // counts through the file, and on through its replays
  int replay;           // 0 when the file is read for the first time
  std::string text;     // a complete HepMC3 file with this one event
};

/// Reads a HepMC3 file (Asciiv3, plain or gzipped) as often as it is told to. Thread-safe.
class EventFile {
 public:
  EventFile(std::string path, int times, Slice slice);

  /// The next event of the slice; nothing after the last. Throws UsageError if the file cannot be read, is
  /// not HepMC3, or has no proper end.
  std::optional<EventText> next();

 private:
  std::mutex mutex_;
  const std::string path_;
  const int times_;
  const Slice slice_;
  std::optional<samepage::hep::HepMC3File> file_;
  int replay_ = 0;
  std::int64_t number_ = 0;  // of the event to come
};

}  // namespace reco

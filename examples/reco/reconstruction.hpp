#pragma once

#include "calorimeter.hpp"
#include "conditions.hpp"
#include "event_file.hpp"
#include "result.hpp"

namespace reco {

/// What is done to each event. Thread-safe.
class Reconstruction {
 public:
  explicit Reconstruction(const Conditions& conditions) : conditions_(conditions), calorimeter_(conditions) {}

  /// Appends the event's record to `result` and fills its histograms.
  void process(const EventText& text, Result& result) const;

 private:
  const Conditions& conditions_;
  Calorimeter calorimeter_;
};

}  // namespace reco

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "histograms.hpp"
#include "jets.hpp"

namespace reco {

struct EventRecord {
  std::int64_t number;
  std::size_t particles;      // final ones
  double imbalance;           // GeV, see Event
  double visible_energy;      // GeV, of the generator's particles within the calorimeter's acceptance
  double calorimeter_energy;  // GeV
  std::vector<Jet> jets, generator_jets;
};

/// What a job writes. Energies are rounded to 1 keV, so a result that was written and read is equal to the
/// original.
struct Result {
  int run = 0;
  std::uint64_t conditions = 0;  // digest of the constants that it was made with
  Histograms histograms = {};
  std::vector<EventRecord> events = {};  // by number
};

/// The result of a job over all the parts' events: the same bytes, however the events were divided. Throws
/// UsageError if parts were made with different conditions or hold the same event.
Result merge(const std::vector<Result>& parts);

/// JSON with one event per line.
std::string to_text(const Result& result);
/// The same from lines of line_of(), in order; what `result` holds of events is ignored.
std::string to_text(const Result& result, std::string_view lines);
/// The event's line in the text, with its newline.
std::string line_of(const EventRecord& event);
/// `name` is for the message of the UsageError that is thrown if the text is not a result.
Result from_text(const std::string& text, const std::string& name);

}  // namespace reco

#include "result.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "units.hpp"

namespace reco {

namespace {

constexpr const char* kFormat = "reco result 1";

using nlohmann::json;

json to_json(const std::vector<Jet>& jets) {
  json result = json::array();
  for (const Jet& jet : jets)
    result.push_back({{"pt", jet.pt}, {"eta", jet.eta}, {"phi", jet.phi}, {"mass", jet.mass}});
  return result;
}

std::vector<Jet> jets_from_json(const json& source) {
  std::vector<Jet> jets;
  for (const json& jet : source) jets.push_back({jet.at("pt"), jet.at("eta"), jet.at("phi"), jet.at("mass")});
  return jets;
}

json to_json(const EventRecord& event) {
  return {{"number", event.number},
          {"particles", event.particles},
          {"imbalance", event.imbalance},
          {"visible_energy", event.visible_energy},
          {"calorimeter_energy", event.calorimeter_energy},
          {"jets", to_json(event.jets)},
          {"generator_jets", to_json(event.generator_jets)}};
}

EventRecord event_from_json(const json& source) {
  return {source.at("number"),
          source.at("particles"),
          source.at("imbalance"),
          source.at("visible_energy"),
          source.at("calorimeter_energy"),
          jets_from_json(source.at("jets")),
          jets_from_json(source.at("generator_jets"))};
}

}  // namespace

Result merge(const std::vector<Result>& parts) {
  Result whole;
  if (parts.empty()) return whole;
  whole.run = parts.front().run;
  whole.conditions = parts.front().conditions;
  for (const Result& part : parts) {
    if (part.run != whole.run || part.conditions != whole.conditions) {
      throw UsageError("these results were made with different conditions");
    }
    whole.histograms.add(part.histograms);
    whole.events.insert(whole.events.end(), part.events.begin(), part.events.end());
  }
  const auto by_number = [](const EventRecord& a, const EventRecord& b) { return a.number < b.number; };
  std::sort(whole.events.begin(), whole.events.end(), by_number);
  const auto twice = std::adjacent_find(whole.events.begin(), whole.events.end(),
                                        [](const auto& a, const auto& b) { return a.number == b.number; });
  if (twice != whole.events.end()) {
    throw UsageError("event " + std::to_string(twice->number) + " is in more than one result");
  }
  return whole;
}

std::string line_of(const EventRecord& event) {
  return to_json(event).dump() + "\n";
}

std::string to_text(const Result& result, std::string_view lines) {
  std::string text = "{\"format\": " + json(kFormat).dump() + ", \"run\": " + std::to_string(result.run) +
                     ", \"conditions\": " + std::to_string(result.conditions) +
                     ",\n\"histograms\": " + result.histograms.to_json().dump() + ",\n\"events\": [";
  for (const char* separator = "\n"; !lines.empty(); separator = ",\n") {
    const std::size_t end = lines.find('\n');
    (text += separator) += lines.substr(0, end);
    lines.remove_prefix(end + 1);
  }
  return text + "\n]}\n";
}

std::string to_text(const Result& result) {
  std::string lines;
  for (const EventRecord& event : result.events) lines += line_of(event);
  return to_text(result, lines);
}

Result from_text(const std::string& text, const std::string& name) {
  try {
    const json source = json::parse(text);
    if (source.at("format") != kFormat) throw UsageError(name + " is not a result of this version of reco");
    Result result{
        source.at("run"), source.at("conditions"), Histograms::from_json(source.at("histograms")), {}};
    for (const json& event : source.at("events")) result.events.push_back(event_from_json(event));
    return result;
  } catch (const json::exception&) {
    throw UsageError(name + " is not a result of reco");
  }
}

}  // namespace reco

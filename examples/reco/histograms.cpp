#include "histograms.hpp"

#include <cmath>

#include "units.hpp"

namespace reco {

namespace {

namespace bh = boost::histogram;

Histogram book(unsigned bins, double low, double high) {
  return bh::make_histogram_with(std::vector<std::int64_t>(), bh::axis::regular<>(bins, low, high));
}

}  // namespace

Histograms::Histograms()
    : by_name_{{"jet pt / GeV", book(40, 20, 420)},
               {"jet eta", book(32, -kEtaMax, kEtaMax)},
               {"jets per event", book(20, 0, 20)},
               {"log10(cell energy / GeV)", book(60, -3, 3)},
               {"keV by layer", book(kLayers, 0, kLayers)},
               {"calorimeter energy / visible energy", book(50, 0.5, 1.5)}} {}

void Histograms::fill(const Segmentation& segmentation, const std::vector<CellEnergy>& cells,
                      const std::vector<Jet>& jets, double visible_energy, double calorimeter_energy) {
  for (const Jet& jet : jets) {
    by_name_.at("jet pt / GeV")(jet.pt);
    by_name_.at("jet eta")(jet.eta);
  }
  by_name_.at("jets per event")(static_cast<double>(jets.size()));
  Histogram& spectrum = by_name_.at("log10(cell energy / GeV)");
  Histogram& by_layer = by_name_.at("keV by layer");
  for (const auto& [id, energy] : cells) {
    spectrum(std::log10(energy));
    by_layer(segmentation.cell(id).layer, bh::weight(std::llround(energy * 1e6)));
  }
  by_name_.at("calorimeter energy / visible energy")(calorimeter_energy / visible_energy);
}

void Histograms::add(const Histograms& other) {
  for (auto& [name, histogram] : by_name_) histogram += other.by_name_.at(name);
}

nlohmann::json Histograms::to_json() const {
  nlohmann::json json;
  for (const auto& [name, histogram] : by_name_) {
    std::vector<std::int64_t> counts;
    for (const auto& bin : bh::indexed(histogram, bh::coverage::all)) counts.push_back(*bin);
    const auto& axis = histogram.axis();
    json[name] = {{"low", axis.value(0)}, {"high", axis.value(axis.size())}, {"counts", counts}};
  }
  return json;
}

Histograms Histograms::from_json(const nlohmann::json& json) {
  Histograms result;
  for (auto& [name, histogram] : result.by_name_) {
    const auto& counts = json.at(name).at("counts");
    for (auto bin : bh::indexed(histogram, bh::coverage::all)) {
      *bin = counts.at(static_cast<std::size_t>(bin.index() + 1)).get<std::int64_t>();
    }
  }
  return result;
}

}  // namespace reco

#pragma once

#include <boost/histogram.hpp>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calorimeter.hpp"
#include "jets.hpp"

namespace reco {

/// Boost's histogram with equal bins. Counts, and energies in whole keV, are integers: their sums do not
/// depend on the order, so slices merge to exactly what one job would have filled.
using Histogram = decltype(boost::histogram::make_histogram_with(std::vector<std::int64_t>(),
                                                                 boost::histogram::axis::regular<>()));

class Histograms {
 public:
  Histograms();

  void fill(const Segmentation& segmentation, const std::vector<CellEnergy>& cells,
            const std::vector<Jet>& jets, double visible_energy, double calorimeter_energy);
  void add(const Histograms& other);

  /// Name → {low, high, counts}; the first and last count are below and above.
  nlohmann::json to_json() const;
  /// Throws nlohmann::json::exception if it does not fit.
  static Histograms from_json(const nlohmann::json& json);

 private:
  std::map<std::string, Histogram> by_name_;
};

}  // namespace reco

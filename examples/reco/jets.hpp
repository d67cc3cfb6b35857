#pragma once

#include <vector>

#include "calorimeter.hpp"
#include "event.hpp"

namespace reco {

/// As it is written: pt and mass in GeV to 3 decimals, eta and phi to 6.
struct Jet {
  double pt, eta, phi, mass;

  friend bool operator==(const Jet&, const Jet&) = default;
};

/// Anti-kt jets (FastJet, R = 0.4, pt > 20 GeV), the hardest first.
std::vector<Jet> jets_from_cells(const Segmentation& segmentation, const std::vector<CellEnergy>& cells);
/// The same from the visible particles within the calorimeter's acceptance.
std::vector<Jet> jets_from_particles(const std::vector<Particle>& particles);

/// Call once before threads look for jets: FastJet greets at its first use, and is not thread-safe then.
void prepare_jets();

}  // namespace reco

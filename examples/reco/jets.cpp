#include "jets.hpp"

#include <cmath>
#include <fastjet/ClusterSequence.hh>
#include <map>
#include <utility>

namespace reco {

namespace {

constexpr double kJetRadius = 0.4, kJetPtMin = 20;
constexpr double kTowerStep = 0.1;  // in eta and phi

double rounded(double value, double decimals) {
  return std::round(value * decimals) / decimals;
}

fastjet::PseudoJet massless(double energy, double eta, double phi) {
  const double pt = energy / std::cosh(eta);
  return {pt * std::cos(phi), pt * std::sin(phi), pt * std::sinh(eta), energy};
}

std::vector<Jet> cluster(const std::vector<fastjet::PseudoJet>& inputs) {
  const fastjet::JetDefinition definition(fastjet::antikt_algorithm, kJetRadius);
  const fastjet::ClusterSequence sequence(inputs, definition);
  std::vector<Jet> jets;
  for (const auto& jet : sorted_by_pt(sequence.inclusive_jets(kJetPtMin))) {
    jets.push_back({rounded(jet.pt(), 1e3), rounded(jet.eta(), 1e6), rounded(jet.phi_std(), 1e6),
                    rounded(jet.m(), 1e3)});
  }
  return jets;
}

}  // namespace

std::vector<Jet> jets_from_cells(const Segmentation& segmentation, const std::vector<CellEnergy>& cells) {
  // All cells of one tower count as one massless particle, else each would be one.
  std::map<std::pair<int, int>, fastjet::PseudoJet> towers;
  for (const auto& [id, energy] : cells) {
    const Cell cell = segmentation.cell(id);
    const double eta = segmentation.eta(cell.eta), phi = segmentation.phi(cell.phi);
    const std::pair tower(static_cast<int>(std::floor(eta / kTowerStep)),
                          static_cast<int>(std::floor(phi / kTowerStep)));
    towers[tower] += massless(energy, eta, phi);
  }
  std::vector<fastjet::PseudoJet> inputs;
  for (const auto& [position, tower] : towers) inputs.push_back(tower);
  return cluster(inputs);
}

std::vector<Jet> jets_from_particles(const std::vector<Particle>& particles) {
  std::vector<fastjet::PseudoJet> inputs;
  for (const Particle& particle : particles) {
    const double eta = particle.momentum.pseudorapidity();
    if (visible_energy(particle) == 0 || !(std::abs(eta) < kEtaMax)) continue;
    inputs.push_back(massless(visible_energy(particle), eta, particle.momentum.azimuth()));
  }
  return cluster(inputs);
}

void prepare_jets() {
  fastjet::ClusterSequence::set_fastjet_banner_stream(nullptr);
  cluster({massless(kJetPtMin, 0, 0)});
}

}  // namespace reco

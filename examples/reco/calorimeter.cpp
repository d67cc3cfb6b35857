#include "calorimeter.hpp"

#include <algorithm>
#include <cmath>

#include "readout.hpp"
#include "units.hpp"

namespace reco {

double visible_energy(const Particle& particle) {
  if (is_neutrino(particle.pdg_id)) return 0;
  return is_muon(particle.pdg_id) ? std::min(particle.energy, kIonisationLoss) : particle.energy;
}

std::vector<CellEnergy> Calorimeter::measure(const Event& event) const {
  Deposits deposits;
  for (const Particle& particle : event.particles) {
    if (visible_energy(particle) == 0) continue;
    const auto at_face =
        propagate(conditions_.field(), {particle.origin, particle.momentum, charge(particle.pdg_id)});
    if (at_face) deposit(particle, *at_face, deposits);
  }

  Deposits measured;
  std::vector<ChannelId> dead;
  for (const auto& [id, energy] : deposits) {
    const Channel& channel = conditions_.channel(id);
    if (channel.threshold.dead) {
      dead.push_back(id);
      continue;
    }
    const double mev = reconstruct_energy(channel, digitise(channel, energy / kGeVPerMeV, event.number));
    if (mev > channel.threshold.suppression_mev) measured.emplace(id, mev * kGeVPerMeV);
  }

  std::vector<CellEnergy> cells;
  for (const auto& [id, energy] : measured) cells.push_back({id, energy});
  for (const ChannelId id : dead) {
    if (const double energy = dead_cell_energy(id, measured); energy > 0) cells.push_back({id, energy});
  }
  std::sort(cells.begin(), cells.end(), [](const CellEnergy& a, const CellEnergy& b) { return a.id < b.id; });
  return cells;
}

void Calorimeter::deposit(const Particle& particle, const Track& at_face, Deposits& deposits) const {
  const auto kind =
      is_electromagnetic(particle.pdg_id) ? ShowerKind::kElectromagnetic : ShowerKind::kHadronic;
  const bool muon = is_muon(particle.pdg_id);
  const double radius = shower_radius(muon ? ShowerKind::kElectromagnetic : kind);
  const LayerShares& shares = muon ? ionisation_shares() : shower_shares(kind, particle.energy);
  for (int layer = 0; layer < kLayers; ++layer) {
    deposit_in_layer(layer, at_face, visible_energy(particle) * shares[layer], radius, deposits);
  }
}

/// Spreads the energy over the cell on the particle's way and its eight neighbours, by their distance from
/// the shower's axis as the alignment has it. What falls beyond the calorimeter's edge in eta is lost.
void Calorimeter::deposit_in_layer(int layer, const Track& at_face, double energy, double radius,
                                   Deposits& deposits) const {
  const Segmentation& segmentation = conditions_.segmentation();
  const double depth = (layers()[layer].begin_mm + layers()[layer].end_mm) / 2;
  const Vector3 centre = at_face.position + depth * unit(at_face.momentum);
  const double eta = centre.pseudorapidity(), phi = centre.azimuth();
  if (!(std::abs(eta) < kEtaMax)) return;
  const int eta_index = segmentation.eta_index(eta), phi_index = segmentation.phi_index(phi);

  struct Target {
    ChannelId id;
    double weight;
  };
  std::array<Target, 9> targets;
  std::size_t count = 0;
  double sum = 0;
  for (int deta = -1; deta <= 1; ++deta) {
    for (int dphi = -1; dphi <= 1; ++dphi) {
      const Cell cell{layer, eta_index + deta, segmentation.wrapped(phi_index + dphi)};
      const bool inside = cell.eta >= 0 && cell.eta < segmentation.granularity();
      const Alignment shift = inside ? conditions_.channel(segmentation.id(cell)).alignment : Alignment{};
      const double eta_distance = segmentation.eta(cell.eta) + shift.eta - eta;
      const double phi_distance = std::remainder(segmentation.phi(cell.phi) + shift.phi - phi, 2 * kPi);
      const double distance = std::hypot(eta_distance, phi_distance) * (centre.transverse() + shift.depth_mm);
      const double weight = std::exp(-distance / radius);
      sum += weight;
      if (inside) targets[count++] = {segmentation.id(cell), weight};
    }
  }
  for (std::size_t i = 0; i < count; ++i) deposits[targets[i].id] += energy * targets[i].weight / sum;
}

/// The mean of the living neighbours, GeV.
double Calorimeter::dead_cell_energy(ChannelId id, const Deposits& measured) const {
  const auto& neighbours = living_neighbours(id);
  double sum = 0;
  for (const Channel* neighbour : neighbours) {
    if (const auto found = measured.find(neighbour->id); found != measured.end()) sum += found->second;
  }
  return neighbours.empty() ? 0 : sum / static_cast<double>(neighbours.size());
}

/// Neighbours in the same layer; each dead cell's are looked up once and kept.
const std::vector<const Channel*>& Calorimeter::living_neighbours(ChannelId id) const {
  const std::lock_guard lock(mutex_);
  auto& kept = living_neighbours_[id];
  if (!kept) {
    const Segmentation& segmentation = conditions_.segmentation();
    const Cell cell = segmentation.cell(id);
    auto neighbours = std::make_unique<std::vector<const Channel*>>();
    for (int eta = std::max(cell.eta - 1, 0); eta <= std::min(cell.eta + 1, segmentation.granularity() - 1);
         ++eta) {
      for (int dphi = -1; dphi <= 1; ++dphi) {
        const Channel& channel =
            conditions_.channel(segmentation.id({cell.layer, eta, segmentation.wrapped(cell.phi + dphi)}));
        if (!channel.threshold.dead) neighbours->push_back(&channel);
      }
    }
    kept = std::move(neighbours);
  }
  return *kept;
}

}  // namespace reco

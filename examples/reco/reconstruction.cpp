#include "reconstruction.hpp"

#include <cmath>
#include <utility>

namespace reco {

namespace {

double to_kev(double gev) {
  return std::round(gev * 1e6) / 1e6;
}

}  // namespace

void Reconstruction::process(const EventText& text, Result& result) const {
  const Event event = parse_event(text);
  const std::vector<CellEnergy> cells = calorimeter_.measure(event);

  EventRecord record{};
  record.number = event.number;
  record.particles = event.particles.size();
  record.imbalance = to_kev(event.imbalance);
  for (const Particle& particle : event.particles) {
    if (std::abs(particle.momentum.pseudorapidity()) < kEtaMax)
      record.visible_energy += visible_energy(particle);
  }
  record.visible_energy = to_kev(record.visible_energy);
  for (const CellEnergy& cell : cells) record.calorimeter_energy += cell.energy;
  record.calorimeter_energy = to_kev(record.calorimeter_energy);
  record.jets = jets_from_cells(conditions_.segmentation(), cells);
  record.generator_jets = jets_from_particles(event.particles);

  result.histograms.fill(conditions_.segmentation(), cells, record.jets, record.visible_energy,
                         record.calorimeter_energy);
  result.events.push_back(std::move(record));
}

}  // namespace reco

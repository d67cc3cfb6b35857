#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "conditions.hpp"
#include "event.hpp"
#include "propagate.hpp"
#include "shower.hpp"

namespace reco {

/// What a muon loses on its way through the calorimeter, GeV.
inline constexpr double kIonisationLoss = 2.5;

/// Energy that a particle leaves in the calorimeter if it gets there, GeV.
double visible_energy(const Particle& particle);

/// One recorded cell of an event.
struct CellEnergy {
  ChannelId id;
  double energy;  // GeV
};

/// Turns particles into cell energies: showers, the electronics' response with its noise, and the
/// reconstruction of each cell's energy from its samples with the channel's calibration. Thread-safe.
class Calorimeter {
 public:
  explicit Calorimeter(const Conditions& conditions) : conditions_(conditions) {}

  /// Ordered by channel; only cells above their threshold. The same event always gives the same cells.
  std::vector<CellEnergy> measure(const Event& event) const;

 private:
  using Deposits = std::unordered_map<ChannelId, double>;  // GeV

  void deposit(const Particle& particle, const Track& at_face, Deposits& deposits) const;
  void deposit_in_layer(int layer, const Track& at_face, double energy, double radius,
                        Deposits& deposits) const;
  double dead_cell_energy(ChannelId id, const Deposits& measured) const;
  const std::vector<const Channel*>& living_neighbours(ChannelId id) const;

  const Conditions& conditions_;
  mutable std::mutex mutex_;  // guards living_neighbours_
  mutable std::unordered_map<ChannelId, std::unique_ptr<const std::vector<const Channel*>>>
      living_neighbours_;
};

}  // namespace reco

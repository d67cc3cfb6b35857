#pragma once

#include <cstdint>
#include <vector>

#include "event_file.hpp"
#include "vector3.hpp"

namespace reco {

/// A particle that leaves the collision, as the generator made it.
struct Particle {
  int pdg_id;
  Vector3 origin;    // mm
  Vector3 momentum;  // GeV
  double energy;     // GeV
};

struct Event {
  std::int64_t number;
  std::vector<Particle> particles;
  /// Largest component of the final particles' four-momentum minus the beams', GeV: 0 but for rounding.
  double imbalance;
};

/// Parses the event with HepMC3. A replay is turned about the beam by an angle of its own, so that it meets
/// other channels. Throws UsageError if the text is damaged.
Event parse_event(const EventText& text);

/// In units of the proton's; 0 for what this does not know.
double charge(int pdg_id);

bool is_neutrino(int pdg_id);
bool is_muon(int pdg_id);
/// Electron, positron or photon.
bool is_electromagnetic(int pdg_id);

}  // namespace reco

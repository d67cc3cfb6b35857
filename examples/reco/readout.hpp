#pragma once

#include <array>
#include <cstdint>

#include "channel.hpp"

namespace reco {

/// What the electronics record of one cell and event.
struct Pulse {
  int gain_stage;
  std::array<std::int16_t, kSamples> samples;  // counts
};

/// The electronics' response to `energy` (MeV), with noise that depends on event and channel alone.
Pulse digitise(const Channel& channel, double energy, std::int64_t event_number);

/// The cell's energy in MeV.
double reconstruct_energy(const Channel& channel, const Pulse& pulse);

}  // namespace reco

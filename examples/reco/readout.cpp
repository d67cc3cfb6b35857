#include "readout.hpp"

#include <algorithm>
#include <cmath>

#include "random.hpp"

namespace reco {

namespace {

constexpr double kCountMax = 32'767;

}  // namespace

Pulse digitise(const Channel& channel, double energy, std::int64_t event_number) {
  channel.crate->count_readout();
  Pulse pulse{};
  while (pulse.gain_stage < kGainStages - 1 && energy > channel.gains[pulse.gain_stage].limit)
    ++pulse.gain_stage;
  const GainStage& stage = channel.gains[pulse.gain_stage];
  const double slope = stage.slope, curvature = stage.curvature;
  const double calibrated = 2 * energy / (slope + std::sqrt(slope * slope + 4 * curvature * energy));
  const double amplitude = calibrated / channel.crate->gain_correction();
  Random random(static_cast<std::uint64_t>(event_number), channel.id);
  for (int i = 0; i < kSamples; ++i) {
    const double height =
        amplitude * channel.pulse_shape[i] + channel.threshold.noise_counts * random.normal();
    pulse.samples[i] = static_cast<std::int16_t>(std::floor(std::clamp(height, -kCountMax, kCountMax) + 0.5));
  }
  return pulse;
}

double reconstruct_energy(const Channel& channel, const Pulse& pulse) {
  double amplitude = 0;
  for (int i = 0; i < kSamples; ++i) amplitude += channel.filter[i] * pulse.samples[i];
  amplitude *= channel.crate->gain_correction();
  const GainStage& stage = channel.gains[pulse.gain_stage];
  return stage.slope * amplitude + stage.curvature * amplitude * amplitude;
}

}  // namespace reco

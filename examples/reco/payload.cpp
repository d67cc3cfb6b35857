#include "payload.hpp"

namespace reco {

namespace {

/// Nominal sensitivity, MeV per count, and end of range, MeV, of each gain stage.
constexpr std::array<GainStage, kGainStages> kNominal{{{0.25F, 0, 1e3F}, {2.5F, 0, 1e4F}, {25.F, 0, 1e6F}}};

}  // namespace

void CalibrationPayload::unpack_into(Channel& channel) const {
  channel.pulse_shape.reserve(kSamples);
  float power = 0;
  for (const std::int16_t height : pulse_shape) {
    channel.pulse_shape.push_back(static_cast<float>(height) / 16384);
    power += channel.pulse_shape.back() * channel.pulse_shape.back();
  }
  channel.filter.reserve(kSamples);
  for (const float height : channel.pulse_shape) channel.filter.push_back(height / power);
  channel.gains.reserve(kGainStages);
  for (int i = 0; i < kGainStages; ++i) {
    const float stage_slope = kNominal[i].slope * (1 + static_cast<float>(slope[i]) / (1 << 20));
    const float range = kNominal[i].limit / stage_slope;  // counts
    const float stage_curvature = stage_slope / range * static_cast<float>(curvature[i]) / (1 << 20);
    channel.gains.push_back({stage_slope, stage_curvature, kNominal[i].limit});
  }
}

void AlignmentPayload::unpack_into(Channel& channel) const {
  channel.alignment = {static_cast<float>(eta) / 1e6F, static_cast<float>(phi) / 1e6F,
                       static_cast<float>(depth) / 1e3F};
}

void ThresholdPayload::unpack_into(Channel& channel) const {
  channel.threshold = {static_cast<float>(noise) / 1024, static_cast<float>(suppression) / 1e3F, dead};
}

}  // namespace reco

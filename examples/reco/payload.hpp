#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "channel.hpp"

/// How constants are packed in the database: little-endian integers, expanded to floats when they are read.
namespace reco {

struct CalibrationPayload {
  std::array<std::int16_t, kSamples> pulse_shape;   // 1/16384
  std::array<std::int16_t, kGainStages> slope;      // deviation from nominal, 1/2^20
  std::array<std::int16_t, kGainStages> curvature;  // relative to slope and range, 1/2^20

  void unpack_into(Channel& channel) const;
};

struct AlignmentPayload {
  std::int16_t eta, phi;  // 1e-6
  std::int16_t depth;     // µm

  void unpack_into(Channel& channel) const;
};

struct ThresholdPayload {
  std::uint16_t noise;        // 1/1024 counts
  std::uint16_t suppression;  // keV
  std::uint16_t dead;

  void unpack_into(Channel& channel) const;
};

static_assert(sizeof(CalibrationPayload) == 52 && std::is_trivially_copyable_v<CalibrationPayload>);
static_assert(sizeof(AlignmentPayload) == 6 && std::is_trivially_copyable_v<AlignmentPayload>);
static_assert(sizeof(ThresholdPayload) == 6 && std::is_trivially_copyable_v<ThresholdPayload>);

}  // namespace reco

#pragma once

#include <array>
#include <cstdint>

#include "vector3.hpp"

/// The detector: a tracker inside a solenoid, surrounded by a calorimeter whose cells are equal steps of
/// pseudorapidity (eta), azimuth (phi) and depth.
namespace reco {

inline constexpr double kBarrelRadius = 1400;    // mm, front face of the calorimeter's barrel
inline constexpr double kEndcapDistance = 3500;  // mm, front faces of its two endcaps, from the centre
inline constexpr double kEtaMax = 3.2;           // the calorimeter ends here

inline constexpr int kLayers = 16;
inline constexpr int kElectromagneticLayers = 10;  // the first ten; the other six are hadronic

/// One calorimeter layer; depths from the front face.
struct Layer {
  double begin_mm, end_mm;
  double begin_x0, end_x0;          // in radiation lengths, the scale of electromagnetic showers
  double begin_lambda, end_lambda;  // in nuclear interaction lengths, the scale of hadronic showers
};

const std::array<Layer, kLayers>& layers();

bool inside_tracker(const Vector3& position);

/// Numbers 0 … channels-1, ordered by layer, then eta, then phi.
using ChannelId = std::uint32_t;

struct Cell {
  int layer, eta, phi;
};

/// How finely the calorimeter is divided: `granularity` steps each in eta and phi, in every layer.
class Segmentation {
 public:
  explicit Segmentation(int granularity);

  int granularity() const { return granularity_; }
  ChannelId channels() const;
  double eta_step() const { return 2 * kEtaMax / granularity_; }
  double phi_step() const;

  ChannelId id(const Cell& cell) const;
  Cell cell(ChannelId id) const;
  double eta(int index) const { return -kEtaMax + (index + 0.5) * eta_step(); }
  double phi(int index) const;

  /// May lie outside 0 … granularity-1, which is outside the calorimeter.
  int eta_index(double eta) const;
  int phi_index(double phi) const;
  /// Azimuth has no end: neighbours wrap around.
  int wrapped(int phi_index) const { return (phi_index + granularity_) % granularity_; }

 private:
  int granularity_;
};

}  // namespace reco

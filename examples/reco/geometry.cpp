#include "geometry.hpp"

#include <cmath>

#include "units.hpp"

namespace reco {

namespace {

constexpr double kElectromagneticThickness = 45, kHadronicThickness = 250;  // mm
constexpr double kElectromagneticX0 = 2.5, kHadronicX0 = 14;                // per layer
constexpr double kElectromagneticLambda = 0.12, kHadronicLambda = 1.5;      // per layer

std::array<Layer, kLayers> build_layers() {
  std::array<Layer, kLayers> result{};
  Layer next{};
  for (int i = 0; i < kLayers; ++i) {
    const bool electromagnetic = i < kElectromagneticLayers;
    next.end_mm = next.begin_mm + (electromagnetic ? kElectromagneticThickness : kHadronicThickness);
    next.end_x0 = next.begin_x0 + (electromagnetic ? kElectromagneticX0 : kHadronicX0);
    next.end_lambda = next.begin_lambda + (electromagnetic ? kElectromagneticLambda : kHadronicLambda);
    result[i] = next;
    next = {next.end_mm, 0, next.end_x0, 0, next.end_lambda, 0};
  }
  return result;
}

}  // namespace

const std::array<Layer, kLayers>& layers() {
  static const std::array<Layer, kLayers> all = build_layers();
  return all;
}

bool inside_tracker(const Vector3& position) {
  return position.transverse() < kBarrelRadius && std::abs(position.z) < kEndcapDistance;
}

Segmentation::Segmentation(int granularity) : granularity_(granularity) {
  if (granularity < 8 || granularity > 4096)
    throw UsageError("a calorimeter needs 8 to 4096 steps in eta and phi");
}

ChannelId Segmentation::channels() const {
  return static_cast<ChannelId>(kLayers * granularity_ * granularity_);
}

double Segmentation::phi_step() const {
  return 2 * kPi / granularity_;
}

ChannelId Segmentation::id(const Cell& cell) const {
  return static_cast<ChannelId>((cell.layer * granularity_ + cell.eta) * granularity_ + cell.phi);
}

Cell Segmentation::cell(ChannelId id) const {
  const int rows = static_cast<int>(id) / granularity_;
  return {rows / granularity_, rows % granularity_, static_cast<int>(id) % granularity_};
}

double Segmentation::phi(int index) const {
  return -kPi + (index + 0.5) * phi_step();
}

int Segmentation::eta_index(double eta) const {
  return static_cast<int>(std::floor((eta + kEtaMax) / eta_step()));
}

int Segmentation::phi_index(double phi) const {
  return wrapped(static_cast<int>(std::floor((phi + kPi) / phi_step())));
}

}  // namespace reco

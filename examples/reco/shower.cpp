#include "shower.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace reco {

namespace {

// The table's bins are equal steps of ln(energy / GeV).
constexpr double kLogEnergyMin = -4, kLogEnergyMax = 8;
constexpr int kBins = 1200;

/// The longitudinal profile t^(a-1) e^(-bt), integrated over each layer by Simpson's rule.
LayerShares integrate(double shape, double rate, double Layer::*begin, double Layer::*end) {
  const auto density = [&](double t) { return t > 0 ? std::pow(t, shape - 1) * std::exp(-rate * t) : 0.0; };
  LayerShares shares{};
  double sum = 0;
  for (int i = 0; i < kLayers; ++i) {
    const double from = layers()[i].*begin, width = layers()[i].*end - from;
    constexpr int kIntervals = 16;
    for (int k = 0; k <= kIntervals; ++k) {
      const double weight = k == 0 || k == kIntervals ? 1 : k % 2 ? 4 : 2;
      shares[i] += weight * density(from + width * k / kIntervals) * width / (3 * kIntervals);
    }
    sum += shares[i];
  }
  for (double& share : shares) share /= sum;
  return shares;
}

LayerShares electromagnetic_shares(double log_energy) {
  constexpr double kLogCriticalEnergy = -4.6, kRate = 0.5;  // 10 MeV
  const double maximum = std::max(0.5, log_energy - kLogCriticalEnergy);
  return integrate(1 + kRate * maximum, kRate, &Layer::begin_x0, &Layer::end_x0);
}

LayerShares hadronic_shares(double log_energy) {
  constexpr double kRate = 0.9;
  const double maximum = std::max(0.2, 0.7 + 0.2 * log_energy);
  return integrate(1 + kRate * maximum, kRate, &Layer::begin_lambda, &Layer::end_lambda);
}

std::vector<LayerShares> tabulate(LayerShares (*shares)(double)) {
  std::vector<LayerShares> table;
  for (int bin = 0; bin < kBins; ++bin) {
    table.push_back(shares(kLogEnergyMin + (bin + 0.5) * (kLogEnergyMax - kLogEnergyMin) / kBins));
  }
  return table;
}

}  // namespace

const LayerShares& shower_shares(ShowerKind kind, double energy) {
  const double position = (std::log(energy) - kLogEnergyMin) / (kLogEnergyMax - kLogEnergyMin) * kBins;
  const auto bin = static_cast<std::size_t>(std::clamp(position, 0.0, kBins - 1.0));
  if (kind == ShowerKind::kElectromagnetic) {
    static const std::vector<LayerShares> table = tabulate(electromagnetic_shares);
    return table[bin];
  }
  static const std::vector<LayerShares> table = tabulate(hadronic_shares);
  return table[bin];
}

const LayerShares& ionisation_shares() {
  static const LayerShares shares = [] {
    LayerShares result{};
    for (int i = 0; i < kLayers; ++i)
      result[i] = (layers()[i].end_mm - layers()[i].begin_mm) / layers().back().end_mm;
    return result;
  }();
  return shares;
}

double shower_radius(ShowerKind kind) {
  return kind == ShowerKind::kElectromagnetic ? 15 : 40;
}

}  // namespace reco

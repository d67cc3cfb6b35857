#pragma once

#include <array>

#include "geometry.hpp"

namespace reco {

enum class ShowerKind { kElectromagnetic, kHadronic };

/// Share of a shower's energy in each layer; sums to 1. Thread-safe.
using LayerShares = std::array<double, kLayers>;
const LayerShares& shower_shares(ShowerKind kind, double energy);

/// Share of a minimum ionising particle's energy loss in each layer: proportional to thickness.
const LayerShares& ionisation_shares();

/// How wide a shower is: energy falls by e within this distance from its axis, in mm.
double shower_radius(ShowerKind kind);

}  // namespace reco

#pragma once

#include <optional>

#include "field.hpp"
#include "vector3.hpp"

namespace reco {

struct Track {
  Vector3 position;   // mm
  Vector3 momentum;   // GeV
  double charge = 0;  // of the proton's
};

/// Follows a particle through the field (Runge-Kutta of fourth order) to the calorimeter's front face. A
/// particle that starts behind the face stays where it is; nothing comes back for one that curls up inside.
std::optional<Track> propagate(const FieldMap& field, Track track);

}  // namespace reco

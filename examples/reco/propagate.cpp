#include "propagate.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "geometry.hpp"
#include "units.hpp"

namespace reco {

namespace {

constexpr double kStep = 25;           // mm
constexpr double kPathLimit = 20'000;  // mm; who goes further curls up and ends in the tracker's material

/// Path length along a straight line from inside the tracker to its envelope.
double distance_to_envelope(const Vector3& position, const Vector3& direction) {
  double distance = kPathLimit;
  if (direction.z != 0) {
    distance = (std::copysign(kEndcapDistance, direction.z) - position.z) / direction.z;
  }
  const double a = direction.x * direction.x + direction.y * direction.y;
  if (a > 0) {
    const double b = position.x * direction.x + position.y * direction.y;
    const double c = position.x * position.x + position.y * position.y - kBarrelRadius * kBarrelRadius;
    distance = std::min(distance, (-b + std::sqrt(b * b - a * c)) / a);
  }
  return distance;
}

/// One step along the helix: x' = p/|p|, p' = charge × p/|p| × B.
Track runge_kutta_step(const FieldMap& field, const Track& track, double step) {
  struct Slope {
    Vector3 position, momentum;
  };
  const auto slope = [&](const Vector3& position, const Vector3& momentum) -> Slope {
    const Vector3 direction = unit(momentum);
    return {direction, (track.charge * kGeVPerTeslaMm) * cross(direction, field.at(position))};
  };
  const auto [x, p] = std::pair(track.position, track.momentum);
  const Slope k1 = slope(x, p);
  const Slope k2 = slope(x + step / 2 * k1.position, p + step / 2 * k1.momentum);
  const Slope k3 = slope(x + step / 2 * k2.position, p + step / 2 * k2.momentum);
  const Slope k4 = slope(x + step * k3.position, p + step * k3.momentum);
  return {x + step / 6 * (k1.position + 2 * k2.position + 2 * k3.position + k4.position),
          p + step / 6 * (k1.momentum + 2 * k2.momentum + 2 * k3.momentum + k4.momentum), track.charge};
}

}  // namespace

std::optional<Track> propagate(const FieldMap& field, Track track) {
  if (!inside_tracker(track.position)) return track;
  if (track.charge != 0) {
    double path = 0;
    for (Track next = runge_kutta_step(field, track, kStep); inside_tracker(next.position);
         next = runge_kutta_step(field, track, kStep)) {
      track = next;
      path += kStep;
      if (path > kPathLimit) return std::nullopt;
    }
  }
  // The rest, at most one step if charged, is straight.
  const Vector3 direction = unit(track.momentum);
  track.position = track.position + distance_to_envelope(track.position, direction) * direction;
  return track;
}

}  // namespace reco

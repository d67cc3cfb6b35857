#include "field.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "units.hpp"

namespace reco {

FieldMap::FieldMap(std::vector<Point> points) : points_(std::move(points)) {
  if (points_.size() != std::size_t{kRadii} * kAzimuths * kSlabs)
    throw UsageError("the field map is incomplete");
}

double FieldMap::azimuth(int index) {
  return -kPi + 2 * kPi * index / kAzimuths;
}

Vector3 FieldMap::at(const Vector3& position) const {
  const double r = position.transverse();
  if (r >= kRadiusMax || std::abs(position.z) >= kZMax) return {};

  const double r_steps = r / kRadiusMax * (kRadii - 1);
  const double phi_steps = (position.azimuth() + kPi) / (2 * kPi) * kAzimuths;
  const double z_steps = (position.z + kZMax) / (2 * kZMax) * (kSlabs - 1);
  const int ir = static_cast<int>(r_steps), iz = static_cast<int>(z_steps);
  const int iphi = std::min(static_cast<int>(phi_steps), kAzimuths - 1);

  double radial = 0, azimuthal = 0, axial = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const int dr = corner & 1, dphi = corner >> 1 & 1, dz = corner >> 2;
    const double weight = (dr ? r_steps - ir : 1 - r_steps + ir) *
                          (dphi ? phi_steps - iphi : 1 - phi_steps + iphi) *
                          (dz ? z_steps - iz : 1 - z_steps + iz);
    const Point& point = points_[((iz + dz) * kRadii + ir + dr) * kAzimuths + (iphi + dphi) % kAzimuths];
    radial += weight * point.radial;
    azimuthal += weight * point.azimuthal;
    axial += weight * point.axial;
  }
  if (r == 0) return {0, 0, axial};
  const double c = position.x / r, s = position.y / r;
  return {c * radial - s * azimuthal, s * radial + c * azimuthal, axial};
}

}  // namespace reco

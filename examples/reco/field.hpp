#pragma once

#include <vector>

#include "vector3.hpp"

namespace reco {

/// The magnetic field as it was mapped: a grid in radius, azimuth and z, interpolated linearly in each.
/// Zero outside the grid.
class FieldMap {
 public:
  /// Components at one grid point, tesla.
  struct Point {
    float radial, azimuthal, axial;
  };

  static constexpr int kRadii = 31, kAzimuths = 64, kSlabs = 145;
  static constexpr double kRadiusMax = 1500, kZMax = 3600;  // mm

  /// Points ordered by slab (z), then radius, then azimuth. Throws unless all kRadii × kAzimuths × kSlabs are
  /// there.
  explicit FieldMap(std::vector<Point> points);

  /// Field in tesla at a position in mm.
  Vector3 at(const Vector3& position) const;

  const std::vector<Point>& points() const { return points_; }

  static double radius(int index) { return kRadiusMax * index / (kRadii - 1); }
  static double azimuth(int index);
  static double z(int slab) { return -kZMax + 2 * kZMax * slab / (kSlabs - 1); }

 private:
  std::vector<Point> points_;
};

}  // namespace reco

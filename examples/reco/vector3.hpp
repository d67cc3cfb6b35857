#pragma once

#include <cmath>

namespace reco {

/// A position (mm), momentum (GeV) or field (T); z is the beam.
struct Vector3 {
  double x = 0, y = 0, z = 0;

  friend Vector3 operator+(const Vector3& a, const Vector3& b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend Vector3 operator-(const Vector3& a, const Vector3& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend Vector3 operator*(double s, const Vector3& v) { return {s * v.x, s * v.y, s * v.z}; }

  double transverse() const { return std::sqrt(x * x + y * y); }
  double length() const { return std::sqrt(x * x + y * y + z * z); }
  double azimuth() const { return std::atan2(y, x); }
  /// Infinite along the beam, where transverse() is 0.
  double pseudorapidity() const { return std::asinh(z / transverse()); }
};

inline Vector3 cross(const Vector3& a, const Vector3& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

inline Vector3 unit(const Vector3& v) {
  return (1 / v.length()) * v;
}

inline Vector3 turned_about_beam(const Vector3& v, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * v.x - s * v.y, s * v.x + c * v.y, v.z};
}

}  // namespace reco

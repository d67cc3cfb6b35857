#pragma once

#include <stdexcept>

/// Units, everywhere in this example: energy and momentum in GeV, length in mm, field in tesla, angles in
/// radians.
namespace reco {

inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kGeVPerMeV = 1e-3;
inline constexpr double kBytesPerMegabyte = 1e6;

/// Curvature: a particle of unit charge gains this much transverse momentum (GeV) per mm and tesla.
inline constexpr double kGeVPerTeslaMm = 0.299792458e-3;

/// What the user has to put right (a file, an option). main prints it as one line and exits with 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace reco

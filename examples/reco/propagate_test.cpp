#include "propagate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "geometry.hpp"
#include "units.hpp"

namespace reco {
namespace {

constexpr double kTesla = 2;

FieldMap uniform_field() {
  return FieldMap(std::vector<FieldMap::Point>(
      std::size_t{FieldMap::kRadii} * FieldMap::kAzimuths * FieldMap::kSlabs, {0, 0, kTesla}));
}

TEST(FieldMap, IsUniformBetweenEqualPointsAndZeroOutside) {
  const FieldMap field = uniform_field();
  EXPECT_NEAR(field.at({123, -456, 789}).z, kTesla, 1e-12);
  EXPECT_NEAR(field.at({0, 0, 0}).z, kTesla, 1e-12);
  EXPECT_EQ(field.at({FieldMap::kRadiusMax, 0, 0}).z, 0);
  EXPECT_EQ(field.at({0, 0, -FieldMap::kZMax}).z, 0);
}

TEST(FieldMap, RefusesAnIncompleteMap) {
  EXPECT_THROW(FieldMap({{0, 0, 1}}), UsageError);
}

TEST(Propagate, NeutralParticlesGoStraight) {
  const auto track = propagate(uniform_field(), {{10, 0, 5}, {3, 4, 1}, 0});
  ASSERT_TRUE(track);
  EXPECT_NEAR(track->position.transverse(), kBarrelRadius, 1e-9);
  EXPECT_NEAR((track->position.y - 0) / (track->position.x - 10), 4. / 3, 1e-12);
}

TEST(Propagate, ChargedParticlesFollowAHelix) {
  const double pt = 2, radius = pt / (kGeVPerTeslaMm * kTesla);
  for (const double charge : {-1., 1.}) {
    const auto track = propagate(uniform_field(), {{}, {pt, 0, 0.5}, charge});
    ASSERT_TRUE(track);
    // A chord of length R turns the momentum by twice asin(R / 2r), clockwise for positive charge.
    const double turned = -charge * 2 * std::asin(kBarrelRadius / (2 * radius));
    EXPECT_NEAR(track->momentum.azimuth(), turned, 0.015);  // the last step is straight
    EXPECT_NEAR(track->position.azimuth(), turned / 2, 0.002);
    EXPECT_NEAR(track->momentum.length(), std::hypot(pt, 0.5), 1e-6);  // a magnetic field does no work
  }
}

TEST(Propagate, SlowParticlesCurlUp) {
  EXPECT_FALSE(propagate(uniform_field(), {{}, {0.2, 0, 0.0001}, 1}));
}

TEST(Propagate, ForwardParticlesReachTheEndcap) {
  const auto track = propagate(uniform_field(), {{}, {0.1, 0, -20}, 1});
  ASSERT_TRUE(track);
  EXPECT_NEAR(track->position.z, -kEndcapDistance, 1e-9);
}

TEST(Propagate, WhoStartsInTheCalorimeterStays) {
  const auto track = propagate(uniform_field(), {{kBarrelRadius + 1, 0, 0}, {1, 0, 0}, 1});
  ASSERT_TRUE(track);
  EXPECT_EQ(track->position.x, kBarrelRadius + 1);
}

}  // namespace
}  // namespace reco

#include "event.hpp"

#include <gtest/gtest.h>

#include "units.hpp"

namespace reco {
namespace {

TEST(Charge, OfWhatLeavesACollision) {
  for (const int plus_one : {211, 321, 2212, -11, -13, 411, 521, 3222, -3112, -3312, -3334}) {
    EXPECT_NEAR(charge(plus_one), 1, 1e-12) << plus_one;
    EXPECT_NEAR(charge(-plus_one), -1, 1e-12) << -plus_one;
  }
  for (const int neutral : {22, 111, 130, 310, 511, 2112, 3122, 3322, 12, -14, 16}) {
    EXPECT_NEAR(charge(neutral), 0, 1e-12) << neutral;
  }
}

TEST(ParseEvent, RefusesDamagedText) {
  const std::string header = "HepMC::Version 3.01.02\nHepMC::Asciiv3-START_EVENT_LISTING\n";
  EXPECT_THROW(
      parse_event({0, 0, header + "E 0 1 2\nU GEV MM\nP 1 zero\nHepMC::Asciiv3-END_EVENT_LISTING\n"}),
      UsageError);
}

}  // namespace
}  // namespace reco

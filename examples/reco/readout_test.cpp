#include "readout.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "payload.hpp"
#include "shower.hpp"

namespace reco {
namespace {

Channel some_channel(std::uint16_t noise) {
  Channel channel{7, "seven", std::make_shared<const Crate>("crate", 22.5F), {}, {}, {}, {}, {}};
  CalibrationPayload calibration{};
  for (int i = 0; i < kSamples; ++i)
    calibration.pulse_shape[i] = static_cast<std::int16_t>(16000 / (1 + (i - 6) * (i - 6)));
  calibration.slope = {8000, -8000, 100};
  calibration.curvature = {0, 3000, 9000};
  calibration.unpack_into(channel);
  ThresholdPayload{noise, 750, 0}.unpack_into(channel);
  return channel;
}

TEST(Readout, FindsTheEnergyInEveryGainStage) {
  const Channel channel = some_channel(0);
  for (const double mev : {50., 900., 1'100., 9'000., 20'000., 300'000.}) {
    EXPECT_NEAR(reconstruct_energy(channel, digitise(channel, mev, 1)) / mev, 1, 0.005) << mev;
  }
}

TEST(Readout, NoiseDependsOnEventAndChannelAlone) {
  const Channel channel = some_channel(1536);
  EXPECT_EQ(digitise(channel, 100, 5).samples, digitise(channel, 100, 5).samples);
  EXPECT_NE(digitise(channel, 100, 5).samples, digitise(channel, 100, 6).samples);
}

TEST(ShowerShares, SumToOneAndReachDeeperWithEnergy) {
  const auto depth = [](const LayerShares& shares) {
    double result = 0;
    for (int layer = 0; layer < kLayers; ++layer) result += shares[layer] * layer;
    return result;
  };
  for (const auto kind : {ShowerKind::kElectromagnetic, ShowerKind::kHadronic}) {
    const LayerShares &soft = shower_shares(kind, 0.5), &hard = shower_shares(kind, 200);
    EXPECT_NEAR(std::accumulate(soft.begin(), soft.end(), 0.), 1, 1e-12);
    EXPECT_LT(depth(soft), depth(hard));
  }
  const LayerShares& muon = ionisation_shares();
  EXPECT_NEAR(std::accumulate(muon.begin(), muon.end(), 0.), 1, 1e-12);
}

}  // namespace
}  // namespace reco

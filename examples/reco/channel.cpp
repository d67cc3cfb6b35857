#include "channel.hpp"

#include <cmath>

namespace reco {

float Crate::gain_correction() const {
  constexpr float kReferenceTemperature = 20, kLossPerDegree = 0.004F;
  float correction = gain_correction_.load(std::memory_order_relaxed);
  if (std::isnan(correction)) {
    correction = std::exp(kLossPerDegree * (temperature_ - kReferenceTemperature));
    gain_correction_.store(correction, std::memory_order_relaxed);
  }
  return correction;
}

}  // namespace reco

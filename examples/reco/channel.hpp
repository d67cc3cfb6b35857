#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "geometry.hpp"

/// What is known of one read-out channel, that is, of one calorimeter cell.
namespace reco {

inline constexpr int kSamples = 20;    // read out per pulse
inline constexpr int kGainStages = 3;  // from the most to the least sensitive
inline constexpr ChannelId kChannelsPerCrate = 1024;

/// energy in MeV = slope × amplitude + curvature × amplitude², up to `limit` MeV.
struct GainStage {
  float slope, curvature, limit;
};

/// Measured minus nominal position of the cell.
struct Alignment {
  float eta, phi, depth_mm;
};

struct Threshold {
  float noise_counts;     // standard deviation of one sample
  float suppression_mev;  // a cell below this energy is not recorded
  std::uint32_t dead;     // not 0: gives no signal
};

/// The electronics that kChannelsPerCrate neighbouring channels share.
class Crate {
 public:
  Crate(std::string name, float temperature) : name_(std::move(name)), temperature_(temperature) {}

  const std::string& name() const { return name_; }
  float temperature() const { return temperature_; }  // °C

  /// What the amplitudes of this crate have to be multiplied with; computed at the first call. Thread-safe.
  float gain_correction() const;

  void count_readout() const { readouts_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t readouts() const { return readouts_.load(std::memory_order_relaxed); }

 private:
  std::string name_;
  float temperature_;
  mutable std::atomic<float> gain_correction_ = std::numeric_limits<float>::quiet_NaN();
  mutable std::atomic<std::uint64_t> readouts_ = 0;
};

struct Channel {
  ChannelId id;
  std::string name;
  std::shared_ptr<const Crate> crate;
  std::vector<float> pulse_shape;  // kSamples heights of a pulse of amplitude 1
  std::vector<float> filter;       // kSamples weights: Σ filter × sample is the amplitude
  std::vector<GainStage> gains;    // kGainStages
  Alignment alignment;
  Threshold threshold;
};

}  // namespace reco

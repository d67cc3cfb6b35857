#pragma once

#include <cstdint>

namespace reco {

/// A small random sequence that depends on its key alone, so that results do not depend on who draws when.
class Random {
 public:
  explicit Random(std::uint64_t key) : state_(key) { bits(); }
  Random(std::uint64_t key, std::uint64_t subkey) : Random(Random(key).bits() ^ subkey) {}

  /// splitmix64 (Steele, Lea, Flood 2014).
  std::uint64_t bits() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }

  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  /// Nearly normal, mean 0, deviation 1, within ±3.5: the sum of four uniform 16-bit numbers. No mathematical
  /// library is asked, so it is the same on every machine.
  double normal() {
    const std::uint64_t b = bits();
    const std::int64_t sum =
        static_cast<std::int64_t>((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    constexpr double kMean = 2 * 0xffff, kDeviation = 37837.22;  // 65536 / √3
    return (static_cast<double>(sum) - kMean) / kDeviation;
  }

 private:
  std::uint64_t state_;
};

}  // namespace reco

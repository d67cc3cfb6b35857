#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "channel.hpp"
#include "field.hpp"

namespace reco {

/// A checksum against damage (not against malice).
class Digest {
 public:
  void add(std::uint64_t word) { value_ = (std::rotl(value_, 29) ^ word) * 0x9e3779b97f4a7c15; }
  void add(float number) { add(std::uint64_t{std::bit_cast<std::uint32_t>(number)}); }
  void add(std::string_view text) {
    for (const char c : text) add(std::uint64_t{static_cast<unsigned char>(c)});
  }
  std::uint64_t value() const { return value_ ^ value_ >> 32; }

 private:
  std::uint64_t value_ = 0x243f6a8885a308d3;
};

/// What conditions of one run add up to, folder by folder. Sums, so the order of channels does not matter.
struct ConditionsDigest {
  std::uint64_t calibration = 0, alignment = 0, threshold = 0, field = 0;

  /// Reads every constant of the channel, and of its crate.
  void add_calibration(const Channel& channel);
  void add_alignment(const Channel& channel);
  void add_threshold(const Channel& channel);
  void add_field(const FieldMap& field);

  /// All folders in one.
  std::uint64_t combined() const;

  friend bool operator==(const ConditionsDigest&, const ConditionsDigest&) = default;
};

}  // namespace reco

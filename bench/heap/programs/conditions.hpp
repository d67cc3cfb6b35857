// The constants of the churn benchmark: pointer-rich data built the way an experiment's conditions are.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "random.hpp"

namespace samepage {

/// One read-out channel: three blocks of the heap on every fourth channel, two on the others.
struct Channel {
  float gain;
  std::uint32_t region;
  std::vector<float> calibration;
  std::string name;
};

/// Read-mostly data of `channels` channels (about 230 bytes each in all). Building it allocates and frees
/// temporaries among the constants, so that holes stay between them. Look-ups write nothing.
class Conditions {
 public:
  Conditions(std::uint32_t channels, Random& random);

  /// A value that depends on channel `id`'s own blocks and on its region's; `id` < size().
  double look_up(std::uint32_t id) const;

  /// A new interval of validity: frees `count` channels and allocates their successors. They come from the
  /// fifteenth of all channels whose conditions change often; their slots are neighbours, their blocks lie
  /// far apart.
  void replace(std::uint32_t count, Random& random);

  std::uint32_t size() const { return static_cast<std::uint32_t>(channels_.size()); }

 private:
  using Alignment = std::array<float, 6>;

  std::vector<std::unique_ptr<Channel>> channels_;
  std::map<std::uint32_t, Alignment> regions_;
};

}  // namespace samepage

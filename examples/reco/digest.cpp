#include "digest.hpp"

namespace reco {

void ConditionsDigest::add_calibration(const Channel& channel) {
  Digest digest;
  digest.add(std::uint64_t{channel.id});
  digest.add(channel.name);
  digest.add(channel.crate->name());
  digest.add(channel.crate->temperature());
  for (const float height : channel.pulse_shape) digest.add(height);
  for (const float weight : channel.filter) digest.add(weight);
  for (const GainStage& stage : channel.gains) {
    digest.add(stage.slope);
    digest.add(stage.curvature);
    digest.add(stage.limit);
  }
  calibration += digest.value();
}

void ConditionsDigest::add_alignment(const Channel& channel) {
  Digest digest;
  digest.add(std::uint64_t{channel.id});
  digest.add(channel.alignment.eta);
  digest.add(channel.alignment.phi);
  digest.add(channel.alignment.depth_mm);
  alignment += digest.value();
}

void ConditionsDigest::add_threshold(const Channel& channel) {
  Digest digest;
  digest.add(std::uint64_t{channel.id});
  digest.add(channel.threshold.noise_counts);
  digest.add(channel.threshold.suppression_mev);
  digest.add(std::uint64_t{channel.threshold.dead});
  threshold += digest.value();
}

void ConditionsDigest::add_field(const FieldMap& map) {
  Digest digest;
  for (const FieldMap::Point& point : map.points()) {
    digest.add(point.radial);
    digest.add(point.azimuthal);
    digest.add(point.axial);
  }
  field += digest.value();
}

std::uint64_t ConditionsDigest::combined() const {
  Digest digest;
  for (const std::uint64_t folder : {calibration, alignment, threshold, field}) digest.add(folder);
  return digest.value();
}

}  // namespace reco

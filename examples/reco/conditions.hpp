#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "channel.hpp"
#include "digest.hpp"
#include "field.hpp"
#include "geometry.hpp"

namespace reco {

/// Everything about the detector that holds for one run. Constant once loaded; any number of threads may read
/// it.
class Conditions {
 public:
  /// Reads every constant once, for the digest.
  Conditions(int run, Segmentation segmentation, FieldMap field,
             std::unordered_map<ChannelId, std::shared_ptr<const Channel>> channels,
             std::map<std::string, std::shared_ptr<const Crate>> crates);
  Conditions(const Conditions&) = delete;
  Conditions& operator=(const Conditions&) = delete;

  int run() const { return run_; }
  const Segmentation& segmentation() const { return segmentation_; }
  const FieldMap& field() const { return field_; }
  std::size_t channel_count() const { return channels_.size(); }
  const std::map<std::string, std::shared_ptr<const Crate>>& crates() const { return crates_; }

  /// Every channel of the segmentation has one.
  const Channel& channel(ChannelId id) const;

  /// Of every constant; taken when these conditions were made.
  const ConditionsDigest& digest() const { return digest_; }

 private:
  std::uint64_t instance_;  // differs between any two that this process ever loaded
  int run_;
  Segmentation segmentation_;
  FieldMap field_;
  std::unordered_map<ChannelId, std::shared_ptr<const Channel>> channels_;
  std::map<std::string, std::shared_ptr<const Crate>> crates_;
  ConditionsDigest digest_;
};

/// Reads what is valid for `run` from a database that reco-conditions wrote, and compares all of it with the
/// digests in the database: when this returns, every constant has been read. Throws UsageError.
std::unique_ptr<const Conditions> load_conditions(const std::string& path, int run);

}  // namespace reco

#include "ksm/pace.hpp"

#include <algorithm>

namespace samepage {
namespace {

// A page is merged by the second pass that finds it unchanged, and the pass under way when a burst begins is
// not a whole one: so everything that was there at the beginning is merged when three have ended.
constexpr std::uint64_t kFirstPasses = 3;
constexpr std::uint64_t kFurtherPasses = 2;

std::uint64_t unmerged(const KsmPaceSample& sample) {
  return sample.anonymous_bytes - std::min(sample.anonymous_bytes, sample.merged_bytes);
}

double part(double fraction, const KsmPaceSample& sample) {
  return fraction * static_cast<double>(sample.anonymous_bytes);
}

}  // namespace

bool KsmPace::next(const KsmPaceSample& sample) {
  bool quiet = is_quiet(sample);
  if (burst_) {
    if (is_exhausted(sample)) {
      std::uint64_t late = sample.anonymous_bytes - std::min(sample.anonymous_bytes, burst_->bytes_before);
      unique_ = unmerged(sample) - std::min(unmerged(sample), late);
      burst_.reset();
      worth_since_.reset();
    }
  } else {
    unique_ = std::min(unique_, unmerged(sample));
    if (!is_worth_it(sample)) {
      worth_since_.reset();
    } else {
      if (!worth_since_) worth_since_ = sample.seconds;
      if (quiet || sample.seconds - *worth_since_ >= rules_.longest_wait)
        burst_ = {sample.full_scans + kFirstPasses, sample.merged_bytes, sample.anonymous_bytes,
                  sample.full_scans, sample.seconds};
    }
  }
  return burst_.has_value();
}

bool KsmPace::is_quiet(const KsmPaceSample& sample) {
  double limit = static_cast<double>(still_at_) * (1 + rules_.growth);
  if (static_cast<double>(sample.anonymous_bytes) > limit) {
    still_at_ = sample.anonymous_bytes;
    still_since_ = sample.seconds;
  }
  still_at_ = std::min(still_at_, sample.anonymous_bytes);
  return sample.seconds - still_since_ >= rules_.quiet;
}

bool KsmPace::is_worth_it(const KsmPaceSample& sample) {
  double needed = std::max(part(rules_.worth, sample), static_cast<double>(rules_.worth_least));
  return static_cast<double>(unmerged(sample) - unique_) >= needed;
}

bool KsmPace::is_exhausted(const KsmPaceSample& sample) {
  if (sample.full_scans != burst_->full_scans) {
    burst_->full_scans = sample.full_scans;
    burst_->last_pass = sample.seconds;
  }
  if (sample.seconds - burst_->last_pass >= rules_.patience) return true;
  if (sample.full_scans < burst_->judge_at) return false;
  double gain = static_cast<double>(sample.merged_bytes) - static_cast<double>(burst_->merged_before);
  if (gain < part(rules_.gain, sample)) return true;
  burst_->judge_at = sample.full_scans + kFurtherPasses;
  burst_->merged_before = sample.merged_bytes;
  burst_->bytes_before = sample.anonymous_bytes;
  return false;
}

}  // namespace samepage

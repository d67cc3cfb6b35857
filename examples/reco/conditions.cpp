#include "conditions.hpp"

#include <atomic>
#include <utility>

namespace reco {

namespace {

std::atomic<std::uint64_t> next_instance = 1;

}  // namespace

Conditions::Conditions(int run, Segmentation segmentation, FieldMap field,
                       std::unordered_map<ChannelId, std::shared_ptr<const Channel>> channels,
                       std::map<std::string, std::shared_ptr<const Crate>> crates)
    : instance_(next_instance++),
      run_(run),
      segmentation_(segmentation),
      field_(std::move(field)),
      channels_(std::move(channels)),
      crates_(std::move(crates)) {
  for (const auto& [id, channel] : channels_) {
    digest_.add_calibration(*channel);
    digest_.add_alignment(*channel);
    digest_.add_threshold(*channel);
  }
  digest_.add_field(field_);
}

const Channel& Conditions::channel(ChannelId id) const {
  // Neighbouring look-ups often ask for the same channel again.
  static thread_local std::uint64_t last_instance = 0;
  static thread_local const Channel* last = nullptr;
  if (last_instance != instance_ || last->id != id) {
    last = channels_.at(id).get();
    last_instance = instance_;
  }
  return *last;
}

}  // namespace reco

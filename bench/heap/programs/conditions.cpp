#include "conditions.hpp"

#include <algorithm>
#include <numeric>

namespace samepage {
namespace {

constexpr std::uint32_t kChannelsPerRegion = 4;
constexpr std::uint32_t kOftenReplaced = 15;  // one channel in so many

/// Buffers that initialisation needs for a while: most die young, some live until its end, in no order.
class Scratch {
 public:
  explicit Scratch(Random& random) : random_(random), young_(4096) {}

  ~Scratch() {
    std::shuffle(old_.begin(), old_.end(), random_);
    while (!old_.empty()) old_.pop_back();
  }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void parse_one_channel() {
    young_[random_.below(static_cast<std::uint32_t>(young_.size()))] = buffer(random_.between(16, 512));
    if (random_.below(4) == 0) old_.push_back(buffer(random_.between(48, 400)));
  }

 private:
  using Buffer = std::unique_ptr<char[]>;

  static Buffer buffer(std::uint32_t size) {
    Buffer made(new char[size]);
    std::fill_n(made.get(), size, 'x');
    return made;
  }

  Random& random_;
  std::vector<Buffer> young_;
  std::vector<Buffer> old_;
};

std::unique_ptr<Channel> make_channel(std::uint32_t region, Random& random) {
  auto channel = std::make_unique<Channel>();
  channel->gain = static_cast<float>(random.between(900, 1100)) / 1000;
  channel->region = region;
  channel->calibration.resize(random.between(4, 24));
  for (float& value : channel->calibration) value = static_cast<float>(random.below(1000)) / 1000;
  if (random.below(4) == 0) channel->name.assign(random.between(20, 60), 'n');
  return channel;
}

}  // namespace

Conditions::Conditions(std::uint32_t channels, Random& random) : channels_(channels) {
  std::vector<std::uint32_t> order(channels);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random);
  Scratch scratch(random);
  for (const std::uint32_t id : order) {
    scratch.parse_one_channel();
    const std::uint32_t region = id / kChannelsPerRegion;
    channels_[id] = make_channel(region, random);
    regions_.try_emplace(region, Alignment{1, 2, 3, 4, 5, static_cast<float>(region)});
  }
}

double Conditions::look_up(std::uint32_t id) const {
  const Channel& channel = *channels_[id];
  const Alignment& alignment = regions_.find(channel.region)->second;
  return channel.gain * channel.calibration.back() + alignment[id % alignment.size()] +
         static_cast<double>(channel.name.size());
}

void Conditions::replace(std::uint32_t count, Random& random) {
  const std::uint32_t first = random.below(std::max(size() / kOftenReplaced, count) - count + 1);
  for (std::uint32_t id = first; id < first + count; ++id)
    channels_[id] = make_channel(id / kChannelsPerRegion, random);
}

}  // namespace samepage

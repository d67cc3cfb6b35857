#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conditions.hpp"
#include "conditions_database.hpp"
#include "payload.hpp"
#include "sqlite.hpp"

namespace reco {

namespace {

/// What a folder holds for one run.
struct Interval {
  std::int64_t payload;
  std::uint64_t digest;
};

class Loader {
 public:
  Loader(Database& database, int run) : database_(database), run_(run) {}

  std::unique_ptr<const Conditions> load() {
    const Segmentation segmentation = read_segmentation();
    const Interval calibration = interval("calibration"), alignment = interval("alignment"),
                   threshold = interval("threshold"), field = interval("field");
    auto crates = read_crates(calibration);
    auto channels = read_channels(calibration, crates, segmentation);
    read_per_crate<AlignmentPayload>("alignment", alignment, channels);
    read_per_crate<ThresholdPayload>("threshold", threshold, channels);

    std::unordered_map<ChannelId, std::shared_ptr<const Channel>> constant_channels;
    constant_channels.reserve(channels.size());
    for (auto& channel : channels) constant_channels.emplace(channel->id, std::move(channel));
    std::map<std::string, std::shared_ptr<const Crate>> crates_by_name;
    for (auto& crate : crates) crates_by_name.emplace(crate->name(), std::move(crate));
    auto conditions = std::make_unique<const Conditions>(
        run_, segmentation, read_field(field), std::move(constant_channels), std::move(crates_by_name));
    const ConditionsDigest expected{calibration.digest, alignment.digest, threshold.digest, field.digest};
    if (conditions->digest() != expected) database_.fail("damaged: constants differ from their digest");
    return conditions;
  }

 private:
  using Crates = std::vector<std::shared_ptr<const Crate>>;
  using Channels = std::vector<std::shared_ptr<Channel>>;  // by ChannelId

  Segmentation read_segmentation() {
    Statement tables(database_, "SELECT count(*) FROM sqlite_master WHERE name = 'metadata'");
    if (!tables.step() || tables.integer(0) == 0) database_.fail("not written by reco-conditions");
    if (metadata("format") != kConditionsFormat) database_.fail("made for another version of reco");
    return Segmentation(std::atoi(metadata("granularity").c_str()));
  }

  std::string metadata(const char* key) {
    Statement select(database_, "SELECT value FROM metadata WHERE key = ?");
    if (!select.bind(1, std::string_view(key)).step()) database_.fail("incomplete: no " + std::string(key));
    return select.text(0);
  }

  Interval interval(const std::string& folder) {
    Statement select(
        database_,
        "SELECT payload, digest FROM interval WHERE folder = ?1 AND ?2 BETWEEN first_run AND last_run");
    if (!select.bind(1, std::string_view(folder)).bind(2, std::int64_t{run_}).step()) {
      database_.fail("no " + folder + " is valid for run " + std::to_string(run_));
    }
    return {select.integer(0), static_cast<std::uint64_t>(select.integer(1))};
  }

  Crates read_crates(const Interval& interval) {
    Crates crates;
    Statement select(database_, "SELECT name, temperature FROM crate WHERE payload = ? ORDER BY crate");
    select.bind(1, interval.payload);
    while (select.step()) {
      crates.push_back(std::make_shared<const Crate>(select.text(0), static_cast<float>(select.real(1))));
    }
    return crates;
  }

  Channels read_channels(const Interval& interval, const Crates& crates, const Segmentation& segmentation) {
    Channels channels;
    channels.reserve(segmentation.channels());
    std::unordered_map<std::string, ChannelId> by_name;
    Statement select(database_,
                     "SELECT channel, name, constants FROM calibration WHERE payload = ? ORDER BY channel");
    select.bind(1, interval.payload);
    while (select.step()) {
      auto channel = std::make_shared<Channel>();
      channel->id = static_cast<ChannelId>(select.integer(0));
      if (channel->id != channels.size() || channel->id / kChannelsPerCrate >= crates.size()) break;
      channel->name = select.text(1);
      if (!by_name.emplace(channel->name, channel->id).second)
        database_.fail("two channels are called " + channel->name);
      channel->crate = crates[channel->id / kChannelsPerCrate];
      select.object<CalibrationPayload>(2).unpack_into(*channel);
      channels.push_back(std::move(channel));
    }
    if (channels.size() != segmentation.channels()) database_.fail("incomplete: calibration lacks channels");
    return channels;
  }

  template <class Payload>
  void read_per_crate(const std::string& folder, const Interval& interval, const Channels& channels) {
    Statement select(database_, "SELECT constants FROM " + folder + " WHERE payload = ? ORDER BY crate");
    select.bind(1, interval.payload);
    for (std::size_t first = 0; first < channels.size(); first += kChannelsPerCrate) {
      if (!select.step()) database_.fail("incomplete: " + folder + " lacks crates");
      const std::size_t count = std::min<std::size_t>(kChannelsPerCrate, channels.size() - first);
      const auto payloads = select.array<Payload>(0, count);
      for (std::size_t i = 0; i < count; ++i) payloads[i].unpack_into(*channels[first + i]);
    }
  }

  FieldMap read_field(const Interval& interval) {
    std::vector<FieldMap::Point> points;
    Statement select(database_, "SELECT constants FROM field WHERE payload = ? ORDER BY slab");
    select.bind(1, interval.payload);
    while (select.step()) {
      const auto slab = select.array<FieldMap::Point>(0, FieldMap::kRadii * FieldMap::kAzimuths);
      points.insert(points.end(), slab.begin(), slab.end());
    }
    return FieldMap(std::move(points));
  }

  Database& database_;
  int run_;
};

}  // namespace

std::unique_ptr<const Conditions> load_conditions(const std::string& path, int run) {
  Database database = Database::open(path);
  return Loader(database, run).load();
}

}  // namespace reco

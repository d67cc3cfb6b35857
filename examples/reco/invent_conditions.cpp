#include "invent_conditions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "conditions_database.hpp"
#include "digest.hpp"
#include "field.hpp"
#include "payload.hpp"
#include "random.hpp"
#include "sqlite.hpp"

namespace reco {

namespace {

constexpr int kLastRun = 1000;
constexpr int kSecondAlignmentRun = 500, kSecondThresholdRun = 300;

template <class Integer>
Integer rounded(double value) {
  return static_cast<Integer>(std::lround(value));
}

CalibrationPayload invent_calibration(Random random) {
  CalibrationPayload payload{};
  const double peak = 6 + 0.3 * random.normal(), start = 0.5 * random.uniform();  // in samples
  for (int i = 0; i < kSamples; ++i) {
    const double t = std::max(0.0, (i - start) / peak);
    payload.pulse_shape[i] = rounded<std::int16_t>(16384 * t * t * std::exp(2 - 2 * t) + 8 * random.normal());
  }
  for (auto& slope : payload.slope) slope = rounded<std::int16_t>(8000 * random.normal());
  for (auto& curvature : payload.curvature) curvature = rounded<std::int16_t>(3000 * random.uniform());
  return payload;
}

AlignmentPayload invent_alignment(Random random) {
  return {rounded<std::int16_t>(800 * random.normal()), rounded<std::int16_t>(800 * random.normal()),
          rounded<std::int16_t>(300 * random.normal())};
}

ThresholdPayload invent_threshold(Random random) {
  const double noise = 1.5 + 0.2 * random.normal();  // counts
  const bool dead = random.uniform() < 1. / 2000;
  return {rounded<std::uint16_t>(1024 * noise), rounded<std::uint16_t>(500 * noise), dead};
}

/// A solenoid of finite length: the axial field falls smoothly at its ends, the radial one follows from div B
/// = 0 to first order, and the coil is a little stronger on one side.
FieldMap invent_field() {
  constexpr double kCentre = 2.0, kHalfLength = 2900, kEdge = 500, kAsymmetry = 0.002;  // T, mm, mm, -
  std::vector<FieldMap::Point> points;
  for (int iz = 0; iz < FieldMap::kSlabs; ++iz) {
    const double z = FieldMap::z(iz);
    const double left = std::tanh((z + kHalfLength) / kEdge), right = std::tanh((z - kHalfLength) / kEdge);
    const double axial = kCentre / 2 * (left - right);
    const double gradient = kCentre / 2 * ((1 - left * left) - (1 - right * right)) / kEdge;
    for (int ir = 0; ir < FieldMap::kRadii; ++ir) {
      for (int iphi = 0; iphi < FieldMap::kAzimuths; ++iphi) {
        const double strength = 1 + kAsymmetry * std::cos(FieldMap::azimuth(iphi));
        points.push_back({static_cast<float>(-FieldMap::radius(ir) / 2 * gradient * strength), 0,
                          static_cast<float>(axial * strength)});
      }
    }
  }
  return FieldMap(std::move(points));
}

class Writer {
 public:
  Writer(Database& database, const InventedConditions& request)
      : database_(database), request_(request), segmentation_(request.granularity) {}

  void write() {
    database_.execute(std::string(kConditionsSchema));
    write_metadata("format", kConditionsFormat);
    write_metadata("granularity", std::to_string(request_.granularity));
    write_metadata("seed", std::to_string(request_.seed));
    write_calibration();
    write_per_crate("alignment", 1, 1, kSecondAlignmentRun - 1, invent_alignment,
                    &ConditionsDigest::add_alignment, &ConditionsDigest::alignment);
    write_per_crate("alignment", 2, kSecondAlignmentRun, kLastRun, invent_alignment,
                    &ConditionsDigest::add_alignment, &ConditionsDigest::alignment);
    write_per_crate("threshold", 1, 1, kSecondThresholdRun - 1, invent_threshold,
                    &ConditionsDigest::add_threshold, &ConditionsDigest::threshold);
    write_per_crate("threshold", 2, kSecondThresholdRun, kLastRun, invent_threshold,
                    &ConditionsDigest::add_threshold, &ConditionsDigest::threshold);
    write_field();
  }

 private:
  void write_metadata(std::string_view key, std::string_view value) {
    Statement(database_, "INSERT INTO metadata VALUES (?, ?)").bind(1, key).bind(2, value).step();
  }

  void write_interval(std::string_view folder, std::int64_t payload, int first_run, int last_run,
                      std::uint64_t digest) {
    Statement(database_, "INSERT INTO interval VALUES (?, ?, ?, ?, ?)")
        .bind(1, folder)
        .bind(2, std::int64_t{first_run})
        .bind(3, std::int64_t{last_run})
        .bind(4, payload)
        .bind(5, static_cast<std::int64_t>(digest))
        .step();
  }

  /// A sequence of its own for every folder, payload and member.
  Random random(std::string_view folder, std::int64_t payload, std::uint64_t member) const {
    Digest key;
    key.add(request_.seed);
    key.add(folder);
    key.add(static_cast<std::uint64_t>(payload));
    return Random(key.value(), member);
  }

  void write_calibration() {
    ConditionsDigest digest;
    Statement insert_crate(database_, "INSERT INTO crate VALUES (1, ?, ?, ?)");
    Statement insert_channel(database_, "INSERT INTO calibration VALUES (1, ?, ?, ?)");
    std::shared_ptr<const Crate> crate;
    for (ChannelId id = 0; id < segmentation_.channels(); ++id) {
      if (id % kChannelsPerCrate == 0) {
        const ChannelId number = id / kChannelsPerCrate;
        crate = std::make_shared<const Crate>(fmt::format("CAL/CRATE{:05}", number),
                                              static_cast<float>(20 + random("crate", 1, number).normal()));
        insert_crate.bind(1, std::int64_t{number})
            .bind(2, crate->name())
            .bind(3, double{crate->temperature()})
            .step();
      }
      const Cell cell = segmentation_.cell(id);
      const CalibrationPayload payload = invent_calibration(random("calibration", 1, id));
      Channel channel{id,    fmt::format("CAL/LAYER{:02}/ETA{:04}/PHI{:04}", cell.layer, cell.eta, cell.phi),
                      crate, {},
                      {},    {},
                      {},    {}};
      payload.unpack_into(channel);
      digest.add_calibration(channel);
      insert_channel.bind(1, std::int64_t{id})
          .bind(2, channel.name)
          .bind_bytes(3, &payload, sizeof payload)
          .step();
    }
    write_interval("calibration", 1, 1, kLastRun, digest.calibration);
  }

  template <class Payload>
  void write_per_crate(const std::string& folder, std::int64_t number, int first_run, int last_run,
                       Payload (*invent)(Random), void (ConditionsDigest::*add)(const Channel&),
                       std::uint64_t ConditionsDigest::*sum) {
    ConditionsDigest digest;
    Statement insert(database_, "INSERT INTO " + folder + " VALUES (?, ?, ?)");
    for (ChannelId first = 0; first < segmentation_.channels(); first += kChannelsPerCrate) {
      std::vector<Payload> payloads;
      for (ChannelId id = first; id < std::min(first + kChannelsPerCrate, segmentation_.channels()); ++id) {
        payloads.push_back(invent(random(folder, number, id)));
        Channel channel{id, {}, {}, {}, {}, {}, {}, {}};
        payloads.back().unpack_into(channel);
        (digest.*add)(channel);
      }
      insert.bind(1, number)
          .bind(2, std::int64_t{first / kChannelsPerCrate})
          .bind_bytes(3, payloads.data(), payloads.size() * sizeof(Payload))
          .step();
    }
    write_interval(folder, number, first_run, last_run, digest.*sum);
  }

  void write_field() {
    const FieldMap field = invent_field();
    ConditionsDigest digest;
    digest.add_field(field);
    Statement insert(database_, "INSERT INTO field VALUES (1, ?, ?)");
    constexpr std::size_t kPerSlab = FieldMap::kRadii * FieldMap::kAzimuths;
    for (int slab = 0; slab < FieldMap::kSlabs; ++slab) {
      insert.bind(1, std::int64_t{slab})
          .bind_bytes(2, field.points().data() + slab * kPerSlab, kPerSlab * sizeof(FieldMap::Point))
          .step();
    }
    write_interval("field", 1, 1, kLastRun, digest.field);
  }

  Database& database_;
  InventedConditions request_;
  Segmentation segmentation_;
};

}  // namespace

int granularity_for(double megabytes) {
  constexpr double kBytesPerChannel = 530;  // measured with glibc's malloc
  constexpr double kFieldBytes =
      sizeof(FieldMap::Point) * FieldMap::kRadii * FieldMap::kAzimuths * FieldMap::kSlabs;
  return static_cast<int>(
      std::lround(std::sqrt((megabytes * kBytesPerMegabyte - kFieldBytes) / kBytesPerChannel / kLayers)));
}

void invent_conditions(const std::string& path, const InventedConditions& request) {
  Database database = Database::create(path);
  // Nobody sees the file before it is complete, so it needs no journal.
  database.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN");
  Writer(database, request).write();
  database.execute("COMMIT");
}

}  // namespace reco

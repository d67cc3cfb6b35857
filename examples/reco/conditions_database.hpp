#pragma once

#include <cstdint>
#include <string_view>

/// The format of the conditions database: an SQLite file with these tables.
///
/// metadata   key, value: the format's name and version, the generator's seed, the calorimeter's granularity
/// interval   which payload of a folder is valid for runs first_run … last_run, and the digest of its
/// constants The folders, each with several payloads: crate        name and temperature of each crate (valid
/// together with calibration) calibration  one CalibrationPayload per channel alignment    one
/// AlignmentPayload[kChannelsPerCrate] per crate (the last crate may hold fewer) threshold    one
/// ThresholdPayload[kChannelsPerCrate] per crate field        one FieldMap::Point[kRadii × kAzimuths] per
/// slab
namespace reco {

inline constexpr std::string_view kConditionsFormat = "reco conditions 1";

inline constexpr std::string_view kConditionsSchema = R"sql(
  CREATE TABLE metadata (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE interval (folder TEXT, first_run INTEGER, last_run INTEGER, payload INTEGER, digest INTEGER);
  CREATE TABLE crate (payload INTEGER, crate INTEGER, name TEXT, temperature REAL,
                      PRIMARY KEY (payload, crate)) WITHOUT ROWID;
  CREATE TABLE calibration (payload INTEGER, channel INTEGER, name TEXT, constants BLOB,
                            PRIMARY KEY (payload, channel)) WITHOUT ROWID;
  CREATE TABLE alignment (payload INTEGER, crate INTEGER, constants BLOB,
                          PRIMARY KEY (payload, crate)) WITHOUT ROWID;
  CREATE TABLE threshold (payload INTEGER, crate INTEGER, constants BLOB,
                          PRIMARY KEY (payload, crate)) WITHOUT ROWID;
  CREATE TABLE field (payload INTEGER, slab INTEGER, constants BLOB,
                      PRIMARY KEY (payload, slab)) WITHOUT ROWID;
)sql";

}  // namespace reco

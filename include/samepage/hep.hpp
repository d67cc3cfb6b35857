/// Events of high-energy physics for the farm.
#pragma once

#include <filesystem>
#include <memory>
#include <samepage/farm/source.hpp>
#include <string>

#pragma GCC visibility push(default)
namespace samepage::hep {

/// A HepMC3 file (Asciiv3), plain or gzipped, cut into events and not parsed: that is the workers' part. Not
/// thread-safe. Throws farm::JobError if the file cannot be read, is no such file, is damaged or has no
/// proper end.
class HepMC3File {
 public:
  explicit HepMC3File(const std::filesystem::path& file);
  ~HepMC3File();
  HepMC3File(HepMC3File&&) noexcept;
  HepMC3File& operator=(HepMC3File&&) noexcept;

  /// The next event, as a complete HepMC3 file of its own, which HepMC3::ReaderAscii reads; false after the
  /// last.
  bool next(std::string& event);

 private:
  class Splitter;
  std::unique_ptr<Splitter> splitter_;
};

/// The events of a HepMC3File.
std::unique_ptr<farm::Source> hepmc3_source(const std::filesystem::path& file);

}  // namespace samepage::hep
#pragma GCC visibility pop

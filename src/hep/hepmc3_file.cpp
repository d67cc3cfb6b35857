#include <string_view>
#include <utility>

#include "hep/gzip_lines.hpp"
#include "samepage/farm.hpp"
#include "samepage/hep.hpp"

namespace samepage::hep {

namespace {

constexpr std::string_view kVersionLine = "HepMC::Version ";
constexpr std::string_view kFirstLine = "HepMC::Asciiv3-START_EVENT_LISTING\n";
constexpr std::string_view kLastLine = "HepMC::Asciiv3-END_EVENT_LISTING\n";

bool begins_event(std::string_view line) {
  return line.starts_with("E ");
}

class HepMC3Source final : public farm::Source {
 public:
  explicit HepMC3Source(const std::filesystem::path& file) : file_(file) {}

  bool next(farm::EventBuffer& buffer) override {
    if (!file_.next(event_)) return false;
    buffer.assign(event_);
    return true;
  }
  bool ready() const override { return true; }

 private:
  HepMC3File file_;
  std::string event_;
};

}  // namespace

class HepMC3File::Splitter {
 public:
  explicit Splitter(std::string path) : path_(std::move(path)), lines_(path_) {
    std::string_view line;
    if (!lines_.next(line) || !line.starts_with(kVersionLine)) fail("not a HepMC3 file");
    header_ += line;
    if (!lines_.next(line) || line != kFirstLine) fail("not a HepMC3 file in the format Asciiv3");
    do {
      header_ += line;
      if (!lines_.next(line)) fail("truncated, its last line is missing");
    } while (!begins_event(line) && line != kLastLine);
    if (line == kLastLine) fail("holds no event");
    first_line_ = line;
  }

  bool next(std::string& event) {
    if (first_line_.empty()) return false;
    event = header_;
    event += first_line_;
    std::string_view line;
    for (;;) {
      if (!lines_.next(line)) fail("truncated, its last line is missing");
      if (begins_event(line) || line == kLastLine) break;
      event += line;
    }
    first_line_ = line == kLastLine ? std::string_view() : line;
    event += kLastLine;
    return true;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw farm::JobError(path_ + ": " + what); }

  std::string path_;
  GzipLines lines_;
  std::string header_;      // everything before the first event
  std::string first_line_;  // of the event to come; empty after the last
};

HepMC3File::HepMC3File(const std::filesystem::path& file)
    : splitter_(std::make_unique<Splitter>(file.string())) {}
HepMC3File::~HepMC3File() = default;
HepMC3File::HepMC3File(HepMC3File&&) noexcept = default;
HepMC3File& HepMC3File::operator=(HepMC3File&&) noexcept = default;

bool HepMC3File::next(std::string& event) {
  return splitter_->next(event);
}

std::unique_ptr<farm::Source> hepmc3_source(const std::filesystem::path& file) {
  return std::make_unique<HepMC3Source>(file);
}

}  // namespace samepage::hep

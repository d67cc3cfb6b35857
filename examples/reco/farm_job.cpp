#include "farm_job.hpp"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <samepage/farm.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "event_file.hpp"
#include "jets.hpp"
#include "new_file.hpp"
#include "units.hpp"

namespace reco {

namespace {

namespace farm = samepage::farm;

/// EventTexts as the farm carries them: the replay, then the text.
class EventSource final : public farm::Source {
 public:
  explicit EventSource(const Job& job)
      : events_(job.events, job.times, job.slice), stay_until_(job.stay_until) {}

  bool next(farm::EventBuffer& buffer) override {
    const auto event = events_.next();
    if (!event) {
      std::this_thread::sleep_until(stay_until_);
      return false;
    }
    buffer.set_number(static_cast<std::uint64_t>(event->number));
    const auto room = buffer.allocate(sizeof event->replay + event->text.size());
    std::memcpy(room.data(), &event->replay, sizeof event->replay);
    std::memcpy(room.data() + sizeof event->replay, event->text.data(), event->text.size());
    return true;
  }

 private:
  EventFile events_;
  std::chrono::steady_clock::time_point stay_until_;
};

EventText event_text(const farm::Event& event) {
  EventText text{static_cast<std::int64_t>(event.number), 0, {}};
  std::memcpy(&text.replay, event.bytes.data(), sizeof text.replay);
  text.text = event.text().substr(sizeof text.replay);
  return text;
}

/// Events' lines in a file beside `out`; all of the result when they and the histograms are complete.
class ResultSink final : public farm::Sink {
 public:
  ResultSink(std::string out, Result head)
      : out_(std::move(out)),
        head_(std::move(head)),
        lines_path_(out_ + ".events"),
        lines_(farm::file_sink(lines_path_)) {}

  void open(const std::optional<std::string>& committed) override { lines_->open(committed); }
  void write(std::uint64_t event, std::span<const std::byte> line) override { lines_->write(event, line); }
  std::string commit() override { return lines_->commit(); }
  void abandon() override { lines_->abandon(); }
  void finish(std::span<const std::byte> merged) override {
    lines_->finish(merged);
    if (!std::filesystem::exists(lines_path_)) return;  // the result was complete when the job died
    std::ostringstream lines;
    lines << std::ifstream(lines_path_).rdbuf();
    head_.histograms = Histograms::from_json(
        nlohmann::json::parse(reinterpret_cast<const char*>(merged.data()),
                              reinterpret_cast<const char*>(merged.data() + merged.size())));
    NewFile file(out_);
    file.write(to_text(head_, lines.str()));
    file.commit();
    std::filesystem::remove(lines_path_);
  }

 private:
  std::string out_;
  Result head_;
  std::string lines_path_;
  std::unique_ptr<farm::Sink> lines_;
};

farm::Merging<Histograms> merging() {
  return {[] { return Histograms(); }, [](Histograms& total, const Histograms& part) { total.add(part); },
          [](const Histograms& histograms) { return histograms.to_json().dump(); },
          [](std::string_view saved) { return Histograms::from_json(nlohmann::json::parse(saved)); }};
}

/// What decides the result besides the farm's own settings.
std::string identity(const Job& job, const Intervals& intervals) {
  std::string changes;
  for (const Change& change : intervals.changes())
    changes += " from " + std::to_string(change.event) + " run " + std::to_string(change.run);
  return "reco " + farm::file_identity(job.events) + " x " + std::to_string(job.times) + " slice " +
         std::to_string(job.slice.index) + "/" + std::to_string(job.slice.count) + " conditions " +
         std::to_string(intervals.head().conditions) + changes;
}

}  // namespace

int run_on_farm(const Job& job, Intervals& intervals, const FarmOptions& options, const std::string& out) {
  prepare_jets();
  const Result& head = intervals.head();
  intervals.keep_old = true;
  intervals.on_load = farm::offer_as_template;  // the others shall have them from this worker
  farm::Merged<Histograms> histograms(merging());

  farm::Job on_farm;
  on_farm.source = [&] { return std::make_unique<EventSource>(job); };
  on_farm.sink = [&] { return std::make_unique<ResultSink>(out, head); };
  on_farm.merged = &histograms;
  on_farm.process = [&](const farm::Event& event, farm::Output& output) {
    Result part = head;
    intervals.at(static_cast<std::int64_t>(event.number))->reconstruction.process(event_text(event), part);
    histograms->add(part.histograms);
    output.append(line_of(part.events.front()));
  };
  on_farm.identity = identity(job, intervals);
  on_farm.options.workers = options.workers;
  on_farm.options.journal = options.journal;
  on_farm.options.resume = options.resume;
  on_farm.options.quarantine = options.quarantine;
  on_farm.options.warm_up_events = options.warm_up;
  on_farm.options.retries = options.retries;
  on_farm.options.pin = options.pin;
  try {
    const farm::Report report = farm::run(on_farm);
    if (!options.memory.empty()) std::ofstream(options.memory) << to_json(report);
    if (!report.error.empty()) throw std::runtime_error(report.error);
    std::printf("reco: %llu events in %.2f s, %.2f events/s after initialisation\n",
                static_cast<unsigned long long>(report.events), report.seconds,
                static_cast<double>(report.events) / report.seconds);
    std::printf("reco: %s\n%s", report.sharing.c_str(), memory_table(report).c_str());
    return report.exit_status();
  } catch (const farm::JobError& error) {
    throw UsageError(error.what());
  }
}

}  // namespace reco

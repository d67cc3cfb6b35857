// A job on the farm whose events can be told to do all that events should not.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "samepage/farm.hpp"

namespace {

namespace farm = samepage::farm;

/// Sums whose last bits depend on the order of additions.
struct Sums {
  double harmonic = 0, wave = 0;
  std::uint64_t events = 0;
};

farm::Merging<Sums> sums() {
  return {[] { return Sums{}; },
          [](Sums& total, const Sums& part) {
            total.harmonic += part.harmonic;
            total.wave += part.wave;
            total.events += part.events;
          },
          [](const Sums& value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); },
          [](std::string_view saved) {
            Sums value;
            std::memcpy(&value, saved.data(), sizeof value);
            return value;
          }};
}

struct Misbehaviour {
  std::vector<std::uint64_t> crash, hang, eat, fail, leave;
};

bool among(const std::vector<std::uint64_t>& numbers, std::uint64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

void misbehave(const Misbehaviour& how, std::uint64_t number) {
  if (among(how.crash, number)) std::raise(SIGSEGV);
  if (among(how.leave, number)) std::exit(7);
  if (among(how.fail, number)) throw std::runtime_error("this event is not wanted");
  while (among(how.hang, number)) std::this_thread::sleep_for(std::chrono::hours(1));
  for (std::vector<std::vector<char>> eaten; among(how.eat, number);) {
    eaten.emplace_back(1 << 20, 'x');
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

/// What the template holds. Reference counts do this to it: written, and soon the same again.
class Constants {
 public:
  void make(std::size_t megabytes) {
    for (std::size_t i = 0; i < megabytes << 10; ++i)
      objects_.push_back(std::make_unique<std::vector<char>>(1024, 'c'));
  }
  void count_up_and_down() {
    for (auto& object : objects_) {
      volatile char& count = object->front();
      count = static_cast<char>(count + 1);
      count = static_cast<char>(count - 1);
    }
  }

 private:
  std::vector<std::unique_ptr<std::vector<char>>> objects_;
};

/// Something that is built when it is first needed, and then kept: the conditions of an interval.
const std::vector<char>& interval_table(std::uint64_t interval, std::size_t megabytes) {
  static std::map<std::uint64_t, std::vector<char>> tables;
  auto& table = tables[interval];
  if (table.empty()) {
    table.assign(megabytes << 20, static_cast<char>('a' + interval % 26));
    farm::offer_as_template();
  }
  return table;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A job on the farm", "farm-job");
  std::string input, output, kind = "lines", json;
  unsigned busy_us = 0, output_bytes = 0;
  std::uint64_t interval_events = 0;
  std::size_t interval_mb = 0;
  bool merge = false, unordered = false, reject_templates = false, lines = false;
  Misbehaviour misbehaviour;
  farm::Job job;
  farm::Options& options = job.options;
  unsigned time_limit = 0, commit_ms = 1000, readers = 2;
  std::vector<std::string> more;
  std::size_t constants_mb = 0;
  std::uint64_t touch_events = 0;
  app.add_option("input", input)->required();
  app.add_option("more", more);
  app.add_option("--output", output);
  app.add_option("--kind", kind, "lines, records or quarantine");
  app.add_option("--workers", options.workers);
  app.add_option("--block", options.events_per_block);
  app.add_option("--seed", options.seed);
  app.add_option("--busy-us", busy_us);
  app.add_option("--output-bytes", output_bytes, "padding of each output");
  app.add_option("--retries", options.retries);
  app.add_option("--time-limit", time_limit, "ms");
  app.add_option("--memory-limit", options.memory_limit, "bytes");
  app.add_option("--max-event", options.max_event_bytes, "bytes");
  app.add_option("--in-flight", options.in_flight_bytes, "bytes");
  app.add_option("--quarantine", options.quarantine);
  app.add_option("--journal", options.journal);
  app.add_flag("--resume", options.resume);
  app.add_option("--commit-ms", commit_ms);
  app.add_option("--warm-up", options.warm_up_events);
  app.add_flag("--warm-up-measured", options.warm_up_measured);
  app.add_option("--refork-above", options.refork_above);
  app.add_option("--interval-events", interval_events);
  app.add_option("--interval-mb", interval_mb);
  app.add_option("--constants-mb", constants_mb);
  app.add_option("--touch-events", touch_events, "so many events write to every constant, and undo it");
  app.add_option("--reshare-budget", options.reshare_budget);
  app.add_flag("--reject-templates", reject_templates);
  app.add_flag("--merge", merge);
  app.add_flag("--unordered", unordered);
  app.add_flag("--pin", options.pin);
  app.add_flag("--why", options.why, "compare memory, and print the table");
  app.add_flag("--lines", lines, "progress in lines");
  app.add_option("--json", json, "the report; - is standard output");
  app.add_option("--readers-per-disk", readers);
  app.add_option("--crash", misbehaviour.crash);
  app.add_option("--hang", misbehaviour.hang);
  app.add_option("--eat", misbehaviour.eat);
  app.add_option("--fail", misbehaviour.fail);
  app.add_option("--leave", misbehaviour.leave);
  CLI11_PARSE(app, argc, argv);

  const auto open = [&](const std::filesystem::path& file) {
    return kind == "records"      ? farm::record_source(file)
           : kind == "quarantine" ? farm::quarantine_source(file)
                                  : farm::line_source(file);
  };
  job.source = [&]() -> std::unique_ptr<farm::Source> {
    if (more.empty()) return open(input);
    std::vector<std::filesystem::path> files{input};
    files.insert(files.end(), more.begin(), more.end());
    return farm::files_source(files, open, {readers, 1 << 16});
  };
  if (!output.empty()) job.sink = [&] { return farm::file_sink(output); };
  Constants constants;
  constants.make(constants_mb);
  farm::Merged<Sums> total(sums());
  if (merge) job.merged = &total;
  job.identity = "farm-job " + kind + " " + farm::file_identity(input);
  options.ordered = !unordered;
  options.time_limit = std::chrono::milliseconds(time_limit);
  options.commit_every = std::chrono::milliseconds(commit_ms);
  options.progress = lines ? farm::Options::Progress::lines : farm::Options::Progress::none;
  job.check_template = [&] { return !reject_templates; };
  job.process = [&](const farm::Event& event, farm::Output& out) {
    misbehave(misbehaviour, event.number);
    if (event.number < touch_events) constants.count_up_and_down();
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(busy_us);
    std::uint64_t digest = event.seed;
    for (const std::byte byte : event.bytes)
      digest = (digest ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
    if (interval_events)
      digest ^= static_cast<std::uint64_t>(
          interval_table(event.number / interval_events, interval_mb)[digest % 1000]);
    while (std::chrono::steady_clock::now() < until) {
    }
    total->harmonic += 1.0 / static_cast<double>(event.number + 1);
    total->wave += std::sin(static_cast<double>(digest % 1000003));
    ++total->events;
    char line[80];
    std::snprintf(line, sizeof line, "%llu %016llx\n", static_cast<unsigned long long>(event.number),
                  static_cast<unsigned long long>(digest));
    out.append(line);
    if (output_bytes) out.append(std::string(output_bytes - 1, '.') + "\n");
  };
  try {
    const farm::Report report = farm::run(job);
    if (!report.error.empty()) std::fprintf(stderr, "farm-job: %s\n", report.error.c_str());
    if (merge && !report.merged.empty()) {
      const Sums sum = total.read(report.merged);
      std::printf("merged %llu %a %a\n", static_cast<unsigned long long>(sum.events), sum.harmonic, sum.wave);
    }
    if (options.why) std::printf("%s", farm::memory_table(report).c_str());
    if (json == "-")
      std::printf("%s\n", farm::to_json(report).c_str());
    else if (!json.empty())
      std::ofstream(json) << farm::to_json(report);
    return report.exit_status();
  } catch (const farm::JobError& error) {
    std::fprintf(stderr, "farm-job: %s\n", error.what());
    return 2;
  }
}

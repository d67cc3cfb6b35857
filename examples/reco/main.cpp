#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "event_file.hpp"
#include "farm_job.hpp"
#include "intervals.hpp"
#include "job.hpp"
#include "new_file.hpp"
#include "result.hpp"
#include "units.hpp"

namespace {

using reco::UsageError;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string events, conditions, out;
  int run = 1;
  std::vector<std::string> changes;
  std::string slice = "0/1";
  int forks = 1, threads = 1, repeat = 1;
  double hold = 0;
  reco::FarmOptions farm;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

reco::Slice parse_slice(std::string_view text) {
  reco::Slice slice;
  const auto [separator, index_error] = std::from_chars(text.begin(), text.end(), slice.index);
  if (index_error == std::errc() && separator != text.end() && *separator == '/') {
    const auto [end, count_error] = std::from_chars(separator + 1, text.end(), slice.count);
    if (count_error == std::errc() && end == text.end() && slice.index >= 0 && slice.index < slice.count)
      return slice;
  }
  throw UsageError("--slice takes I/N with 0 <= I < N, not " + std::string(text));
}

/// In the order of events.
std::vector<reco::Change> parse_changes(const std::vector<std::string>& texts) {
  std::vector<reco::Change> changes;
  for (const std::string& text : texts) {
    reco::Change change{};
    const char* end = text.data() + text.size();
    const auto [separator, event_error] = std::from_chars(text.data(), end, change.event);
    const bool more = event_error == std::errc() && separator != end && *separator == ':';
    const auto [last, run_error] = std::from_chars(more ? separator + 1 : end, end, change.run);
    if (!more || run_error != std::errc() || last != end ||
        change.event <= (changes.empty() ? 0 : changes.back().event))
      throw UsageError("--change takes EVENT:RUN, with events that rise, not " + text);
    changes.push_back(change);
  }
  return changes;
}

void say_initialised(const reco::Conditions& conditions, double seconds) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("reco: conditions of run %d, %zu channels, every constant read; peak RSS %ld MB\n",
              conditions.run(), conditions.channel_count(), usage.ru_maxrss / 1024);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::printf("reco: initialised at %lld.%03ld (Unix time) after %.2f s\n",
              static_cast<long long>(now.tv_sec), now.tv_nsec / 1'000'000, seconds);
  std::fflush(stdout);
}

int reconstruct(const Options& options) {
  const auto start = Clock::now();
  const reco::Slice slice = parse_slice(options.slice);
  if (options.farm.workers && (options.forks > 1 || options.threads > 1))
    throw UsageError("--workers cannot be combined with --forks or --threads");
  // What can be wrong is found before the conditions are loaded, which takes a while.
  reco::NewFile::check(options.out);
  reco::EventFile(options.events, 1, slice);
  reco::Intervals intervals(options.conditions, options.run, parse_changes(options.changes));
  say_initialised(*intervals.present()->conditions, seconds_since(start));

  reco::Job job{options.events, options.repeat, slice, options.forks, options.threads, {}};
  job.stay_until =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.hold));
  if (options.farm.workers) return reco::run_on_farm(job, intervals, options.farm, options.out);
  const reco::Result result = reco::run(job, intervals);

  reco::NewFile file(options.out);
  file.write(reco::to_text(result));
  file.commit();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Reconstructs events: from the generator's particles through a detector to jets and histograms.",
      "reco");
  Options options;
  app.add_option("--events", options.events, "HepMC3 file (Asciiv3), plain or gzipped")->required();
  app.add_option("--conditions", options.conditions, "database that reco-conditions wrote")->required();
  app.add_option("--out", options.out, "the result, JSON")->required();
  app.add_option("--run", options.run, "run number: which conditions are valid")->capture_default_str();
  app.add_option("--change", options.changes,
                 "EVENT:RUN: from this event on the conditions of that run are valid");
  app.add_option("--slice", options.slice, "I/N: only events I, I+N, I+2N, ...")->capture_default_str();
  app.add_option("--workers", options.farm.workers,
                 "workers of a farm: no event is lost, the output is in order")
      ->check(CLI::Range(1, 1024));
  app.add_option("--journal", options.farm.journal,
                 "with --workers: keeps what is needed to go on after a death");
  app.add_flag("--resume", options.farm.resume, "with --journal: goes on where the job stood that died");
  app.add_option("--quarantine", options.farm.quarantine,
                 "with --workers: where events go that no worker survives");
  app.add_option("--retries", options.farm.retries,
                 "with --workers: how often an event is tried again whose worker is lost")
      ->capture_default_str();
  app.add_option("--warm-up", options.farm.warm_up,
                 "with --workers: events that one worker does before the others are forked from it")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--pin", options.farm.pin, "with --workers: each on a core of its own");
  app.add_option("--memory", options.farm.memory, "with --workers: the memory table as JSON, to this file");
  app.add_option("--forks", options.forks,
                 "processes forked plainly after initialisation, each with a share of the events")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads in each process")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--repeat", options.repeat,
                 "read the events so often; a replayed event is turned about the beam")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--hold", options.hold, "end no earlier than so many seconds after initialisation")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return reconstruct(options);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "reco: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reco: %s\n", error.what());
    return 1;
  }
}

/// The farm: processes events in workers forked from the calling process, and loses none.
///
///   samepage::farm::Job job;
///   job.source = [] { return samepage::farm::line_source("events.txt"); };
///   job.process = [&](const Event& event, Output& output) { output.append(reconstruct(event.text(),
///   conditions)); }; job.sink = [] { return samepage::farm::file_sink("out.txt"); }; job.options.workers =
///   4; return samepage::farm::run(job).exit_status();
///
/// run() is called once initialisation is over. What the process holds then is shared with the workers by
/// copy-on-write. What must not cross a fork (SQLite, network connections, threads) is opened afterwards: the
/// source in the reader and the sink in the writer open what they need, workers in Job::worker_begins. Call
/// it from a thread that lives on until it returns, best with no other threads: they do not exist in the
/// workers.
///
/// docs/farm.md explains failures, resuming, merging, warm-up and re-forks.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <samepage/farm/event.hpp>
#include <samepage/farm/merged.hpp>
#include <samepage/farm/report.hpp>
#include <samepage/farm/sink.hpp>
#include <samepage/farm/source.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// Something that the user can put right; the text is one line.
class JobError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Options {
  unsigned workers = 0;    ///< 0: serially, in the calling process, with no fork; the same bytes
  std::uint64_t seed = 1;  ///< events' seeds derive from it
  bool ordered = true;     ///< outputs in the order of events; else as they come. Merging is always in order

  /// How many events one worker takes at once, and how many are merged before they meet the total. 0: one, if
  /// there is something to merge; else as many short ones as is good for throughput.
  unsigned events_per_block = 0;
  std::size_t max_event_bytes = std::size_t{64} << 20;
  /// Of events delivered and not done; more if events are so large that it is less than one for each worker
  /// and two.
  std::size_t in_flight_bytes = std::size_t{32} << 20;

  /// How often an event is given to another worker; with a loop of its own how many lost workers are replaced
  /// in all.
  unsigned retries = 2;
  std::chrono::milliseconds time_limit{0};  ///< per event; 0: none
  std::size_t memory_limit = 0;             ///< bytes that a worker may grow by after its fork; 0: none
  std::filesystem::path quarantine;         ///< where failed events go; empty: the first one fails the job

  std::filesystem::path journal;  ///< empty: the job cannot be resumed
  bool resume = false;            ///< go on if the journal is there
  std::chrono::milliseconds commit_every{1000};

  std::uint64_t warm_up_events = 0;  ///< done by one worker that then becomes the template of the others
  bool warm_up_measured = false;     ///< as many as it takes until its private memory has stopped growing
  std::size_t refork_above =
      0;  ///< private bytes of a worker above which it is offered as template; 0: never

  bool pin = false;              ///< each worker on a core of its own, spread over NUMA nodes
  double reshare_budget = 0.02;  ///< part of a worker's time for giving pages back to the store
  /// Compare the memory of all processes of the job while they work, for the report: what would be ideal. The
  /// supervisor does nothing else meanwhile, at most a twentieth of the time; workers are not stopped.
  bool why = false;
  std::vector<std::uint64_t> memory_at = {50};  ///< events at which memory is taken, besides 0, 1 and the end

  enum class Progress { none, terminal, lines };
  Progress progress =
      Progress::terminal;  ///< on standard error: if it is a terminal; a line every 10 s; not at all
};

struct Job {
  std::function<std::unique_ptr<Source>()> source;     ///< called in the reader
  std::function<void(const Event&, Output&)> process;  ///< called in workers; an exception fails the event
  std::function<std::unique_ptr<Sink>()> sink;         ///< called in the writer; none: outputs are dropped
  /// Instead of these three, for a framework that has its own event loop: called in each worker, and over
  /// when there is no more to do. It calls between_events(). The farm forks, replaces and tables; which
  /// events there are, and that none is lost, is the framework's affair.
  std::function<void(unsigned worker)> own_loop;
  Accumulator* merged = nullptr;                       ///< not owned
  std::function<void(unsigned worker)> worker_begins;  ///< in each new worker: open what cannot cross a fork
  std::function<void()> before_template;               ///< in a worker about to become template: close that
  std::function<bool()> check_template;                ///< there, afterwards; false: it stays a worker
  std::string identity;  ///< what the job is: its journal is refused by a job of another identity
  Options options;
};

/// Runs the job to its end. Throws JobError for what is wrong before anything has started.
Report run(const Job& job);

/// Called while an event is processed: this worker has built state that all will need, such as the conditions
/// of a new interval. Once the event is done, the worker may become the template from which the others are
/// forked anew. Nothing outside a worker.
void offer_as_template();

/// What a worker's own loop is to do.
enum class Next {
  go_on,
  leave,  ///< close what is open and return: a successor takes the place
  begin,  ///< this is another process now, forked from the one that called, and maybe another this_worker()
};

/// In Job::own_loop, between two events, with nothing open that a fork would harm (or closed by
/// Job::before_template): the event before counts, pages are given back within the budget, memory is taken
/// for the table. A worker that becomes the template does not return from here, its children do.
Next between_events();
/// The place of this process among the workers, from 0.
unsigned this_worker();

}  // namespace samepage::farm
#pragma GCC visibility pop

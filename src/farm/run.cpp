#include <optional>
#include <string>

#include "farm/committer.hpp"
#include "farm/dispatch.hpp"
#include "farm/journal.hpp"
#include "farm/serial.hpp"
#include "farm/supervisor.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

void check(const Job& job) {
  if (!job.own_loop && (!job.source || !job.process))
    throw JobError("a job needs a source and a function that processes an event");
  if (job.own_loop && (job.source || job.process || job.sink || job.merged || job.options.workers == 0))
    throw JobError("an event loop of its own needs workers, and no source, process, sink or merged result");
  if (job.options.workers > kMaxWorkers)
    throw JobError("a farm has at most " + std::to_string(kMaxWorkers) + " workers");
  if (job.options.max_event_bytes == 0 || job.options.in_flight_bytes < 4096)
    throw JobError("max_event_bytes and in_flight_bytes leave no room for events");
}

/// All that decides which bytes come out.
std::string identity_of(const Job& job) {
  const Options& options = job.options;
  return job.identity + "\nseed " + std::to_string(options.seed) + "\nblock " +
         std::to_string(options.events_per_block) + " " + std::to_string(options.in_flight_bytes) +
         (options.ordered ? "\nordered" : "\nunordered") + (job.merged ? "\nmerged" : "");
}

}  // namespace

Report run(const Job& job) {
  check(job);
  std::optional<Journal> journal;
  std::optional<Committed> committed;
  if (!job.options.journal.empty()) {
    journal.emplace(job.options.journal, identity_of(job));
    committed = journal->read();
    if (committed && !job.options.resume)
      throw JobError("the journal " + journal->file().string() +
                     " is of an unfinished job; resume it, or remove it");
  }
  const bool resumed = committed.has_value();
  if (resumed && committed->complete) {
    Committer committer(job, journal, *committed, true);
    Report report;
    report.events = committer.events();
    report.quarantined = committer.quarantined();
    report.merged = committer.finish();
    report.status = report.quarantined ? Report::Status::partial : Report::Status::complete;
    return report;
  }
  if (job.options.workers == 0) return run_serially(job, journal, committed.value_or(Committed{}), resumed);
  return Supervisor(job, journal, committed.value_or(Committed{}), resumed).run();
}

}  // namespace samepage::farm

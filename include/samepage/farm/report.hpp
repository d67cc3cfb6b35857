/// What became of a job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// The memory of one worker at one moment, in kB, as the 2009 study of LHC jobs tabled it.
struct MemorySample {
  unsigned worker;
  std::uint64_t event;  ///< events that this process had done; the last sample of a process is its end
  bool end;
  std::uint64_t private_kb;
  std::uint64_t shared_kb;
  std::uint64_t pss_kb;
  unsigned generation;  ///< re-forks before this process was forked
};

struct Report {
  enum class Status {
    complete,
    partial,      ///< all events are done but those in quarantine
    failed,       ///< `error` says why; a job with a journal can be resumed
    interrupted,  ///< by SIGINT or SIGTERM; a job with a journal can be resumed
  };
  Status status = Status::failed;
  std::string error;
  std::uint64_t events = 0;  ///< done in this run and, when resumed, before
  std::uint64_t quarantined = 0;
  std::uint64_t retries = 0;  ///< times that an event was given to another worker
  std::uint64_t reforks = 0;  ///< workers that became template, after a warm-up too
  std::uint64_t templates_rejected = 0;
  std::uint64_t workers_lost = 0;
  double seconds = 0;  ///< from the first fork to the last commit
  std::string merged;  ///< the total, saved; Merged<T>::read makes it a T
  std::vector<MemorySample> memory;
  /// What all processes of the job held together when they were last compared (Options::why), and what they
  /// would with one copy of each page's content. 0: they never were.
  std::uint64_t together_bytes = 0, ideal_bytes = 0;
  std::string sharing;  ///< what heap and store do for this job, or what is lost without them

  /// For main: 0 complete, 3 partial, 1 failed, 130 interrupted.
  int exit_status() const;
};

/// Rows: before event 0, at event 1, at the chosen events, at the end; means over workers, MB. Below, the
/// ideal beside what was reached, if that was looked for.
std::string memory_table(const Report& report);
/// All of the report as JSON: the table's samples one by one.
std::string to_json(const Report& report);

}  // namespace samepage::farm
#pragma GCC visibility pop

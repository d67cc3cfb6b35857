#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "farm/comparison.hpp"
#include "farm/journal.hpp"
#include "farm/limits.hpp"
#include "farm/placement.hpp"
#include "farm/progress.hpp"
#include "farm/shared_state.hpp"
#include "farm/work.hpp"
#include "linux/parenthood.hpp"
#include "linux/signal_state.hpp"

namespace samepage::farm {

/// Starts the job's processes and sees to it that they do their work: gives back what dead workers had, kills
/// those that exceed a limit, and renews workers from a warmed one. It is the first template itself and does
/// nothing per event.
class Supervisor {
 public:
  Supervisor(const Job& job, const std::optional<Journal>& journal, Committed committed, bool resumed);
  ~Supervisor();

  Report run();

 private:
  /// What is known of a desk besides what lies in shared memory.
  struct Place {
    enum class State {
      empty,  // nobody yet: during warm-up
      asked,  // a template was asked to fork
      working,
      draining,  // died; the writer takes what it had handed over
      done,      // its own loop is over
    };
    State state = State::empty;
    pid_t pid = 0;
    unsigned generation = 0;
    std::optional<unsigned> lane;  // of the template that forked it; none: this process
    std::uint64_t memory_at_fork_kb = 0;
    std::string why;     // it was killed, or died
    bool blamed = true;  // its event had a part in its death
  };
  struct Template {
    pid_t pid = 0;
    unsigned generation = 0;
    std::uint64_t memory_kb = 0;
  };

  template <typename Body>
  pid_t fork_child(Body body);
  void start_reader();
  void start_writer();
  void fork_worker(unsigned desk);
  void worker_is_there(unsigned desk, pid_t pid);

  void wait_for_news();
  void reap();
  void ended(pid_t pid, int status);
  void worker_ended(unsigned desk, int status);
  void own_loop_ended(unsigned desk);
  void retry_what_died();
  void count_events();
  void blame(std::uint64_t block, const Place& place, unsigned desk);
  void look_at_limits();
  void compare_memory();
  void collect_samples(unsigned desk);

  void look_at_offers();
  void hear_templates();
  void hear(unsigned lane, const Message& message);
  void replace_next();
  void end_promotion();
  void end_warm_up();
  void template_ended(unsigned lane);

  void stop(Report::Status status, const std::string& error);
  void kill_all();
  bool all_ended() const;
  std::vector<pid_t> worker_pids() const;
  pid_t unannounced(unsigned desk) const;

  const Job& job_;
  std::optional<Journal> journal_;
  const Committed committed_;
  const bool resumed_;
  SharedState shared_;
  Dispatch dispatch_;
  Placement placement_;
  Lanes lanes_;
  const Limits limits_;
  Report report_;
  Subreaper subreaper_;
  SignalState signals_;
  Progress progress_;
  Comparison comparison_;
  const pid_t self_;

  pid_t reader_ = 0, writer_ = 0;
  std::vector<Place> places_;
  std::vector<pid_t> forked_by_templates_;            // whom they may leave to us unreaped
  std::array<std::optional<Template>, 2> templates_;  // by lane
  std::optional<unsigned> serving_;                   // lane of the present template; none: this process
  std::optional<unsigned> candidate_;                 // desk that was told to promote
  std::deque<unsigned> to_replace_;                   // desks whose workers are older than the template
  std::optional<unsigned> replacing_;                 // the one of them that was told to retire
  std::optional<unsigned> leaving_;                   // lane of the template that hands over
  bool warming_up_ = false;
  unsigned generation_ = 0;
  unsigned deaths_in_a_row_ = 0;  // of workers that had taken no block
  std::size_t next_reason_ = 0;
  bool stopping_ = false;
};

}  // namespace samepage::farm

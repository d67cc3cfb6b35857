#include "farm/supervisor.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "farm/committer.hpp"
#include "farm/reader.hpp"
#include "farm/sharing.hpp"
#include "farm/writer.hpp"
#include "linux/system_call.hpp"

namespace samepage::farm {

namespace {

std::string description(int status, std::string_view message) {
  if (WIFSIGNALED(status)) {
    std::string text =
        "killed by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
    if (WTERMSIG(status) == SIGKILL) text += ", perhaps for want of memory";
    return text;
  }
  if (WEXITSTATUS(status) == kEventFailed && !message.empty()) return "threw: " + std::string(message);
  return "ended the process with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Supervisor::Supervisor(const Job& job, const std::optional<Journal>& journal, Committed committed,
                       bool resumed)
    : job_(job),
      journal_(journal),
      committed_(std::move(committed)),
      resumed_(resumed),
      shared_(job.options),
      dispatch_(shared_.control().dispatch),
      placement_(job.options.pin ? Placement(job.options.workers) : Placement()),
      limits_(job.options),
      signals_({SIGCHLD, SIGINT, SIGTERM}),
      progress_(job.options.progress, shared_),
      comparison_(job.options, shared_),
      self_(getpid()),
      places_(job.options.workers) {}

Supervisor::~Supervisor() {
  kill_all();
}

Report Supervisor::run() {
  report_.sharing = Sharing().seal();
  const auto began = std::chrono::steady_clock::now();
  if (!job_.own_loop) {
    start_writer();
    start_reader();
  }
  warming_up_ =
      job_.options.workers > 1 && (job_.options.warm_up_events > 0 || job_.options.warm_up_measured);
  for (unsigned desk = 0; desk < (warming_up_ ? 1 : job_.options.workers); ++desk) fork_worker(desk);
  while (!all_ended()) {
    wait_for_news();
    reap();
    hear_templates();
    retry_what_died();
    look_at_limits();
    look_at_offers();
    count_events();
    progress_.say_if_due(report_, worker_pids());
    compare_memory();
  }
  const Control& control = shared_.control();
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  count_events();
  report_.quarantined = control.quarantined.load(std::memory_order_relaxed);
  if (job_.own_loop && !stopping_) report_.status = Report::Status::complete;
  if (control.finished.load(std::memory_order_acquire)) {
    report_.status = report_.quarantined ? Report::Status::partial : Report::Status::complete;
    report_.error.clear();
    char buffer[1 << 16];
    ssize_t got = 0;
    for (off_t at = 0; (got = pread(shared_.merged_file(), buffer, sizeof buffer, at)) > 0; at += got)
      report_.merged.append(buffer, static_cast<std::size_t>(got));
  }
  return std::move(report_);
}

// --- processes -------------------------------------------------------------------------------------------

template <typename Body>
pid_t Supervisor::fork_child(Body body) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (!die_with(self_)) _exit(1);
  // A terminal's Ctrl-C reaches every process; this one decides what becomes of the others.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_DFL);
  sigprocmask(SIG_SETMASK, &signals_.mask_before(), nullptr);
  body();
  _exit(0);
}

void Supervisor::start_reader() {
  reader_ = must(fork_child([&] { Reader(job_, shared_, DoneEvents(committed_)).run(); }), "fork");
}

void Supervisor::start_writer() {
  writer_ = must(fork_child([&] {
                   signal(SIGTERM, SIG_IGN);
                   try {
                     Committer committer(job_, journal_, committed_, resumed_);
                     Writer(shared_, committer).run();
                   } catch (const std::exception& error) {
                     shared_.control().writer_error.set(error.what());
                   }
                 }),
                 "fork");
}

void Supervisor::fork_worker(unsigned desk) {
  if (stopping_) return;
  Place& place = places_[desk];
  shared_.desk(desk).command.store(Command::none, std::memory_order_release);
  shared_.desk(desk).offers.store(0, std::memory_order_relaxed);
  shared_.desk(desk).started_ns.store(0, std::memory_order_relaxed);
  shared_.desk(desk).phase.store(Phase::working, std::memory_order_relaxed);
  shared_.desk(desk).message.set({});
  shared_.desk(desk).pid.store(0, std::memory_order_relaxed);
  place = {};
  place.generation = generation_;
  place.lane = serving_;
  place.state = Place::State::asked;
  if (serving_) {
    place.memory_at_fork_kb = templates_[*serving_]->memory_kb;
    lanes_[*serving_].tell_template({Message::What::fork, desk, generation_, 0, 0});
    return;
  }
  if (job_.options.memory_limit) place.memory_at_fork_kb = Limits::anonymous_kb(self_);
  const pid_t pid = fork_child([&] {
    work(job_, shared_, lanes_, placement_, self_, {desk, generation_, warming_up_});
  });
  if (pid > 0) {
    worker_is_there(desk, pid);
  } else {
    const int error = errno;
    place.state = Place::State::empty;
    stop(Report::Status::failed, "cannot fork a worker: " + error_text(error));
  }
}

void Supervisor::worker_is_there(unsigned desk, pid_t pid) {
  places_[desk].pid = pid;
  places_[desk].state = Place::State::working;
  if (replacing_ == desk) {
    replacing_.reset();
    replace_next();
  }
}

/// The worker that a template forked for this desk, but died before it could say so; 0 if there is none.
pid_t Supervisor::unannounced(unsigned desk) const {
  return shared_.desk(desk).pid.load(std::memory_order_acquire);
}

std::vector<pid_t> Supervisor::worker_pids() const {
  std::vector<pid_t> pids;
  for (const Place& place : places_)
    if (place.state == Place::State::working) pids.push_back(place.pid);
  return pids;
}

bool Supervisor::all_ended() const {
  return !reader_ && !writer_ && std::none_of(places_.begin(), places_.end(), [](const Place& place) {
    return place.state == Place::State::working || place.state == Place::State::asked;
  });
}

void Supervisor::kill_all() {
  for (const pid_t pid : worker_pids()) kill(pid, SIGKILL);
  for (const auto& present : templates_)
    if (present) kill(present->pid, SIGKILL);
  for (const pid_t pid : {reader_, writer_})
    if (pid) kill(pid, SIGKILL);
  // Workers forked by a template end with it and come to us, its children's subreaper.
  for (int pass = 0; pass < 2; ++pass)  // one may be the other's child at first
    for (const auto& present : templates_)
      if (present) waitpid(present->pid, nullptr, 0);
  for (const pid_t pid : worker_pids()) waitpid(pid, nullptr, 0);
  for (const pid_t pid : forked_by_templates_) waitpid(pid, nullptr, 0);
  for (unsigned desk = 0; desk < places_.size(); ++desk)
    if (places_[desk].state == Place::State::asked)
      if (const pid_t pid = unannounced(desk)) waitpid(pid, nullptr, 0);
  for (const pid_t pid : {reader_, writer_})
    if (pid) waitpid(pid, nullptr, 0);
}

/// Everyone but the writer is killed; it commits what it has.
void Supervisor::stop(Report::Status status, const std::string& error) {
  if (stopping_) return;
  stopping_ = true;
  report_.status = status;
  report_.error = error;
  if (reader_) kill(reader_, SIGKILL);
  for (const pid_t pid : worker_pids()) kill(pid, SIGKILL);
  for (const auto& present : templates_)
    if (present) kill(present->pid, SIGKILL);
  shared_.control().stop.store(1, std::memory_order_release);
  shared_.control().writer_bell.ring_anyway();
}

// --- what happens ----------------------------------------------------------------------------------------

void Supervisor::wait_for_news() {
  std::optional<std::chrono::milliseconds> at_most = limits_.every();
  for (const auto every : {progress_.every(), comparison_.every()})
    if (every) at_most = std::min(at_most.value_or(*every), *every);
  pollfd polled[] = {{signals_.fd(), POLLIN, 0},
                     {shared_.calls(), POLLIN, 0},
                     {lanes_[0].supervisor_end(), POLLIN, 0},
                     {lanes_[1].supervisor_end(), POLLIN, 0}};
  poll(polled, 4, at_most ? static_cast<int>(at_most->count()) : -1);
  std::uint64_t calls = 0;
  (void)!read(shared_.calls(), &calls, sizeof calls);
  signalfd_siginfo info;
  while (read(signals_.fd(), &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) continue;
    stop(Report::Status::interrupted, std::string("interrupted by ") + strsignal(number));
  }
}

void Supervisor::reap() {
  std::vector<pid_t> known = worker_pids();
  for (const auto& present : templates_)
    if (present) known.push_back(present->pid);
  for (const pid_t pid : {reader_, writer_})
    if (pid) known.push_back(pid);
  for (const pid_t pid : known) {
    int status = 0;
    // A template's child is not ours (ECHILD): the template tells of it, or dies and leaves it to us.
    if (waitpid(pid, &status, WNOHANG) == pid) ended(pid, status);
  }
}

void Supervisor::ended(pid_t pid, int status) {
  if (pid == reader_) {
    reader_ = 0;
    if (status == 0 || stopping_) return;
    stop(Report::Status::failed, "the reader was " + description(status, {}));
  } else if (pid == writer_) {
    writer_ = 0;
    if (shared_.control().finished.load(std::memory_order_acquire)) return;
    const std::string writer_error(shared_.control().writer_error.get());
    stop(Report::Status::failed, !writer_error.empty() ? writer_error
                                 : status == 0         ? std::string(shared_.control().reader_error.get())
                                                       : "the writer was " + description(status, {}));
  } else {
    for (unsigned lane = 0; lane < templates_.size(); ++lane)
      if (templates_[lane] && templates_[lane]->pid == pid) return template_ended(lane);
    for (unsigned desk = 0; desk < places_.size(); ++desk)
      if (places_[desk].pid == pid && places_[desk].state == Place::State::working)
        return worker_ended(desk, status);
  }
}

void Supervisor::worker_ended(unsigned desk, int status) {
  Place& place = places_[desk];
  Desk& shared_desk = shared_.desk(desk);
  // Its template is dead before it is, but need not have been reaped before it.
  if (place.lane && templates_[*place.lane] && waitpid(templates_[*place.lane]->pid, nullptr, WNOHANG) > 0)
    template_ended(*place.lane);
  // While templates change, the present one is the former one's child, and word of its death may come later.
  if (place.lane && leaving_ && place.why.empty() && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    place.blamed = false;
  collect_samples(desk);
  if (candidate_ == desk) candidate_.reset();
  if (status == 0 && shared_desk.phase.load(std::memory_order_acquire) == Phase::finished)
    return own_loop_ended(desk);
  if (stopping_ || (status == 0 && shared_desk.phase.load(std::memory_order_acquire) == Phase::ended)) {
    place.state = Place::State::empty;
    place.pid = 0;
    if (!stopping_ && !shared_.control().finished.load(std::memory_order_acquire)) fork_worker(desk);
    return;
  }
  ++report_.workers_lost;
  if (place.why.empty()) place.why = description(status, shared_desk.message.get());
  place.pid = 0;
  if (job_.own_loop) {
    place.state = Place::State::empty;
    // Workers that died with their template are not counted.
    if (place.blamed && ++report_.retries > job_.options.retries)
      return stop(Report::Status::failed, "worker " + std::to_string(desk) + " was lost: " + place.why);
    return fork_worker(desk);
  }
  place.state = Place::State::draining;
  shared_desk.dead.fetch_add(1, std::memory_order_release);
  shared_.control().writer_bell.ring_anyway();
}

/// The loop has no more to do; those behind it that were to be replaced are.
void Supervisor::own_loop_ended(unsigned desk) {
  places_[desk].state = Place::State::done;
  places_[desk].pid = 0;
  if (warming_up_ && !stopping_) end_warm_up();
  if (replacing_ != desk) return;
  replacing_.reset();
  replace_next();
}

void Supervisor::count_events() {
  Control& control = shared_.control();
  if (job_.own_loop) {
    std::uint64_t events = 0;
    for (const Desk& desk : shared_.desks()) events += desk.events_done.load(std::memory_order_relaxed);
    control.events_done.store(events, std::memory_order_relaxed);
  }
  report_.events = control.events_done.load(std::memory_order_relaxed);
}

void Supervisor::retry_what_died() {
  constexpr unsigned kTooMany = 20;
  for (unsigned desk = 0; desk < places_.size(); ++desk) {
    Place& place = places_[desk];
    Desk& shared_desk = shared_.desk(desk);
    if (place.state != Place::State::draining || stopping_ ||
        shared_desk.drained.load(std::memory_order_acquire) !=
            shared_desk.dead.load(std::memory_order_relaxed))
      continue;
    dispatch_.set_sleeping(desk, false);
    if (const auto block = dispatch_.claimed_by(desk)) {
      deaths_in_a_row_ = 0;
      if (place.blamed) blame(*block, place, desk);
      if (stopping_) return;
      ++report_.retries;
      dispatch_.give_back(*block);
    } else if (++deaths_in_a_row_ == kTooMany) {
      return stop(Report::Status::failed, "workers die before they take an event; the last one " + place.why);
    }
    if (shared_.control().finished.load(std::memory_order_acquire)) {
      place.state = Place::State::empty;
      continue;
    }
    fork_worker(desk);
    // Whoever was to be woken for a block, but is dead, was not woken: let all look.
    for (Desk& each : shared_.desks()) each.bell.ring_anyway();
  }
}

/// The event that the dead worker was at has one attempt more behind it; after too many it is given up.
void Supervisor::blame(std::uint64_t block, const Place& place, unsigned desk) {
  const Dispatch::Block& content = dispatch_.block(block);
  std::uint64_t offset = content.first_event;
  const std::uint32_t at =
      std::min(shared_.desk(desk).event.load(std::memory_order_relaxed), content.events - 1);
  for (std::uint32_t i = 0; i < at; ++i) offset = shared_.event(offset).next;
  EventHeader& event = shared_.event(offset);
  if (event.verdict || ++event.attempts <= job_.options.retries) return;
  const std::string why = "event " + std::to_string(event.number) + " failed " +
                          std::to_string(event.attempts) + (event.attempts == 1 ? " time: " : " times: ") +
                          place.why;
  if (job_.options.quarantine.empty()) return stop(Report::Status::failed, why);
  const std::size_t reason = next_reason_++ % shared_.reasons().size();
  shared_.reasons()[reason].set(place.why);
  event.verdict = static_cast<std::uint32_t>(reason + 1);
}

void Supervisor::look_at_limits() {
  if (!limits_.every() || stopping_) return;
  for (unsigned desk = 0; desk < places_.size(); ++desk) {
    Place& place = places_[desk];
    if (place.state != Place::State::working || !place.why.empty()) continue;
    if (const auto breach = limits_.breach(shared_.desk(desk), place.pid, place.memory_at_fork_kb)) {
      place.why = *breach;
      kill(place.pid, SIGKILL);
    }
  }
}

void Supervisor::compare_memory() {
  if (stopping_ || warming_up_ || !comparison_.is_due()) return;
  std::vector<pid_t> processes = worker_pids();
  for (const auto& present : templates_)
    if (present) processes.push_back(present->pid);
  for (const pid_t pid : {self_, reader_, writer_})
    if (pid) processes.push_back(pid);
  // A signal, of a child that ends too, is more urgent.
  const auto called = [&] {
    pollfd polled{signals_.fd(), POLLIN, 0};
    return poll(&polled, 1, 0) > 0;
  };
  comparison_.compare(processes, called, report_);
}

void Supervisor::collect_samples(unsigned desk) {
  Desk& shared_desk = shared_.desk(desk);
  const std::uint32_t taken = shared_desk.samples_taken.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < taken; ++i) report_.memory.push_back(shared_desk.samples[i]);
  shared_desk.samples_taken.store(0, std::memory_order_relaxed);
}

// --- templates -------------------------------------------------------------------------------------------

void Supervisor::look_at_offers() {
  if (places_.size() < 2 || candidate_ || !to_replace_.empty() || replacing_ || leaving_ || stopping_) return;
  if (shared_.control().finished.load(std::memory_order_acquire)) return;
  for (unsigned desk = 0; desk < places_.size(); ++desk) {
    Desk& shared_desk = shared_.desk(desk);
    if (places_[desk].state != Place::State::working || !shared_desk.offers.load(std::memory_order_acquire))
      continue;
    shared_desk.offers.store(0, std::memory_order_relaxed);
    // What it offers may come from a worker that is older than the present template.
    if (places_[desk].generation != generation_) continue;
    candidate_ = desk;
    shared_desk.lane.store(serving_ == 0u ? 1 : 0, std::memory_order_relaxed);
    shared_desk.command.store(Command::promote, std::memory_order_release);
    shared_desk.bell.ring_anyway();
    return;
  }
}

void Supervisor::hear_templates() {
  for (unsigned lane = 0; lane < lanes_.size(); ++lane)
    while (const auto message = lanes_[lane].hear_template()) hear(lane, *message);
}

void Supervisor::hear(unsigned lane, const Message& message) {
  switch (message.what) {
    case Message::What::serving: {
      if (stopping_ || !candidate_ || places_[*candidate_].pid != message.pid) return;
      const unsigned desk = *candidate_;
      candidate_.reset();
      collect_samples(desk);
      ++generation_;
      ++report_.reforks;
      templates_[lane] = {message.pid, generation_,
                          job_.options.memory_limit ? Limits::anonymous_kb(message.pid) : 0};
      leaving_ = serving_;
      serving_ = lane;
      fork_worker(desk);
      for (unsigned other = 0; other < places_.size(); ++other)
        if (other != desk) to_replace_.push_back(other);
      replace_next();
      return;
    }
    case Message::What::rejected:
      ++report_.templates_rejected;
      if (candidate_ == message.desk) candidate_.reset();
      shared_.desk(message.desk).command.store(Command::none, std::memory_order_release);
      shared_.desk(message.desk).bell.ring_anyway();
      if (warming_up_) end_warm_up();
      return;
    case Message::What::forked:
      if (places_[message.desk].state != Place::State::asked || places_[message.desk].lane != lane) return;
      if (message.pid == 0) {
        places_[message.desk].state = Place::State::empty;
        return stop(Report::Status::failed, "cannot fork a worker: " + error_text(message.status));
      }
      forked_by_templates_.push_back(message.pid);
      return worker_is_there(message.desk, message.pid);
    case Message::What::ended:
      return ended(message.pid, message.status);
    case Message::What::free:
      if (leaving_ && templates_[*leaving_])
        lanes_[*leaving_].tell_template({Message::What::leave, 0, 0, 0, 0});
      return;
    default:
      return;
  }
}

/// One worker after another, so that the others go on.
void Supervisor::replace_next() {
  while (!to_replace_.empty() && !replacing_) {
    const unsigned desk = to_replace_.front();
    to_replace_.pop_front();
    Place& place = places_[desk];
    if (place.state == Place::State::empty) {  // after a warm-up
      fork_worker(desk);
    } else if (place.state == Place::State::working && place.generation != generation_) {
      replacing_ = desk;
      shared_.desk(desk).command.store(Command::retire, std::memory_order_release);
      shared_.desk(desk).bell.ring_anyway();
    }
    // Else it is being replaced already, having died.
  }
  if (to_replace_.empty() && !replacing_) end_promotion();
}

/// Without the warmed worker as template: it goes on as the first of them.
void Supervisor::end_warm_up() {
  warming_up_ = false;
  for (unsigned desk = 0; desk < places_.size(); ++desk)
    if (places_[desk].state == Place::State::empty) fork_worker(desk);
}

/// Nobody is left whose parent the former template is, but the present one.
void Supervisor::end_promotion() {
  warming_up_ = false;
  if (leaving_ && serving_) lanes_[*serving_].tell_template({Message::What::let_go, 0, 0, 0, 0});
}

void Supervisor::template_ended(unsigned lane) {
  while (const auto message = lanes_[lane].hear_template()) hear(lane, *message);  // its last words
  templates_[lane].reset();
  while (lanes_[lane].hear_supervisor()) {
    // What it did not get to do must not be taken for its successor's.
  }
  // Its workers end with it, for no fault of their events.
  for (Place& place : places_)
    if (place.lane == lane) place.blamed = false;
  if (leaving_ == lane) {
    leaving_.reset();
    if (serving_) lanes_[*serving_].tell_template({Message::What::adopted, 0, 0, 0, 0});
  }
  const bool served = serving_ == lane;
  if (served) {
    // The former template serves on, this process if there is none; it forks what this one was asked to fork.
    serving_ = std::exchange(leaving_, std::nullopt);
    to_replace_.clear();
    replacing_.reset();
    generation_ = serving_ ? templates_[*serving_]->generation : 0;
  }
  for (unsigned desk = 0; desk < places_.size(); ++desk) {
    Place& place = places_[desk];
    if (place.lane != lane || place.state != Place::State::asked) continue;
    if (const pid_t pid = unannounced(desk)) {  // it may have taken a block
      int status = 0;
      waitpid(pid, &status, 0);
      worker_ended(desk, status);
    } else if (stopping_) {
      place.state = Place::State::empty;
    } else {
      fork_worker(desk);
    }
  }
  if (served && warming_up_ && !stopping_) end_warm_up();
}

}  // namespace samepage::farm

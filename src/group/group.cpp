#include "group/group.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <system_error>

#include "group/environment.hpp"
#include "group/guard.hpp"
#include "group/output.hpp"
#include "group/preloads.hpp"
#include "group/program.hpp"
#include "group/store_files.hpp"
#include "group/template.hpp"
#include "linux/signal_state.hpp"
#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"
#include "store/holder.h"

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68  // Linux 6.4
#endif

namespace samepage {
namespace {

constexpr double kFirstLook = 0.05, kLookInterval = 0.5;  // seconds; the interval doubles until it is reached
constexpr double kSlowStart = 5;  // seconds before main, after which the user is told what is waited for
constexpr int kPipeRead = 65536;
constexpr int kKillRounds = 40;
constexpr int kCannotStart = 126;

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// One stream of a copy on its way to a sink.
struct Stream {
  UniqueFd pipe;
  Sink* sink;
  std::optional<LinePrefixer> prefixer;
};

struct Copy {
  Start start;
  pid_t pid = 0;
  bool started = false, ended = false;
};

class Group {
 public:
  explicit Group(const GroupOptions& options);
  GroupResult run();

 private:
  void plan();
  bool fix_layout();
  void join_store();
  void hold_store(Environment& environment);
  void start_template();
  void template_is_ready(bool ended = false);
  void start_more();
  void start(unsigned rank);
  std::array<UniqueFd, 3> make_streams(unsigned rank);
  void began(unsigned rank, pid_t pid);
  void ended(unsigned rank, int status, std::string how);
  void hear_template();
  void hear_signals();
  void reap();
  void forward(const signalfd_siginfo& info);
  void kill_all(int signal);
  bool pump(Stream& stream);
  void write_to(Sink& sink);
  void wait_for_something(double until);
  bool done() const { return result_.ends.size() == copies_.size(); }
  void drain();

  const GroupOptions& options_;
  SignalState signals_{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE};
  ExecSettings exec_;
  ProcFs proc_;
  ProcessTree tree_{proc_, getpid()};
  Accounts accounts_{proc_, tree_};
  Guard guard_{proc_};  // forked first of all: it inherits no stream of a copy
  std::vector<Copy> copies_;
  UniqueFd nothing_;
  std::optional<StoreFiles> store_;
  std::optional<StoreJoin> joined_;
  std::optional<Template> template_;
  bool template_ready_ = false, fixed_ = false;
  std::size_t next_ = 0, running_ = 0;
  int interrupts_ = 0;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::vector<Stream> streams_;
  GroupResult result_;
};

Group::Group(const GroupOptions& options) : options_(options), copies_(options.commands.size()) {
  must(prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
  exec_.mask = signals_.mask_before();
  nothing_ = UniqueFd(must(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null"));
  sinks_.push_back(std::make_unique<Sink>(STDOUT_FILENO, "standard output"));
  sinks_.push_back(std::make_unique<Sink>(STDERR_FILENO, "standard error"));
  tree_.leave_out(guard_.pid());
  plan();
}

/// Resolves the programs, decides what can be had, and builds every copy's environment.
void Group::plan() {
  Environment common = Environment::of_this_process();
  const std::string path = common.has("PATH") ? common.get("PATH") : "/usr/bin:/bin";
  const Preloads preloads = find_preloads();
  std::vector<Program> programs;
  for (const auto& command : options_.commands) programs.push_back(resolve_program(command, path));
  const Program& first = programs.front();
  const std::string name = first.file.filename();
  const bool several = copies_.size() > 1;
  const bool one_program = std::all_of(programs.begin(), programs.end(),
                                       [&](const Program& program) { return program.file == first.file; });

  if (options_.join) join_store();
  if (options_.seeds) seed_hashes(common, joined_ ? joined_->seeds() : HashSeeds::random());
  if (options_.seeds && several && (name == "node" || name == "nodejs" || name == "ruby"))
    options_.note(
        fmt::format("{} chooses a hash seed in each process: equal tables will differ between copies", name));
  const bool heap = options_.heap && preloads.heap && !first.no_preload;
  if (first.no_preload && (options_.heap || (several && options_.layout == Layout::fork)))
    options_.note(fmt::format("{} is started plainly, without {}: {}", name,
                              several ? "heap and common layout" : "the heap", *first.no_preload));
  else if (options_.heap && !preloads.heap)
    options_.note("libsamepage-heap.so is missing: programs keep their own malloc");
  else if (heap && first.no_heap)
    options_.note(
        fmt::format("the heap does not reach {}: {}; its memory is shared less", name, *first.no_heap));
  else if (heap && first.zend && common.get("USE_ZEND_ALLOC") != "0")
    options_.note(
        fmt::format("the heap does not reach {}: PHP has a malloc of its own, which "
                    "USE_ZEND_ALLOC=0 switches off; its memory is shared less",
                    name));
  fixed_ = options_.layout == Layout::fixed && fix_layout();
  if (heap) preload_heap(common, *preloads.heap);
  if (heap && options_.store && common.get("SAMEPAGE_STORE") != "off") {
    hold_store(common);
    share_interpreter_arenas(common);
  } else {
    common.set("SAMEPAGE_STORE", "off");
  }
  // A kernel before 6.4 cannot take a whole process: there the heap registers what is constant.
  if (options_.ksm && prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) < 0) common.set("SAMEPAGE_KSM", "constant");
  common.set("SAMEPAGE_COPIES", std::to_string(copies_.size()));

  const bool hook = preloads.group && !first.no_preload;
  const bool forked = hook && options_.layout == Layout::fork && several && one_program;
  if (several && options_.layout == Layout::fork && !one_program)
    options_.note("the copies are different programs: they have no common layout");
  for (unsigned rank = 0; rank < copies_.size(); ++rank) {
    Environment environment = common;
    environment.set("SAMEPAGE_RANK", std::to_string(rank));
    copies_[rank].start = {programs[rank].file, programs[rank].argv, environment.entries(),
                           programs[rank].name};
  }
  if (forked) {
    start_template();
  } else if (hook && options_.ksm) {
    for (Copy& copy : copies_) {
      append_preload(copy.start.environment, *preloads.group);
      copy.start.environment.push_back(control_for_plain_start(true));
    }
  }
}

/// Inherited by whatever is started from here on. False where it may not be.
bool Group::fix_layout() {
  const int persona = personality(0xffffffff);
  const bool fixed =
      persona >= 0 && personality(static_cast<unsigned long>(persona) | ADDR_NO_RANDOMIZE) >= 0;
  options_.note(fixed ? "address randomisation is off for this group"
                      : fmt::format("address randomisation cannot be switched off here ({}): "
                                    "each copy has a layout of its own",
                                    error_text(errno)));
  return fixed;
}

void Group::join_store() {
  std::string why_not;
  joined_ = StoreJoin::join(*options_.join, why_not);
  const std::string& name = options_.join->name;
  if (!joined_)
    options_.note(
        fmt::format("store {}: not joined: {}; this job shares within itself alone", name, why_not));
  else
    options_.note(fmt::format("store {}: {}", name, joined_->is_first() ? "the first here" : "joined"));
}

void Group::hold_store(Environment& environment) {
  const std::string across = options_.across_cgroups ? STORE_HOLDER_ACROSS : "";
  if (joined_) {
    environment.set(STORE_HOLDER_VARIABLE, joined_->files().address() + STORE_HOLDER_JOINED + across);
    return;
  }
  std::string why_not;
  store_ = StoreFiles::make(why_not);
  if (!store_) {
    options_.note(why_not);
    return;
  }
  accounts_.set_store([this] { return store_->size({}).all_kb; });
  // Who is started by another program finds the others' pages at these addresses, whenever he comes.
  environment.set(STORE_HOLDER_VARIABLE, store_->address() + (fixed_ ? STORE_HOLDER_JOINED : "") + across);
}

void Group::start_template() {
  std::vector<Start> starts;
  for (const Copy& copy : copies_) starts.push_back(copy.start);
  starts.front().streams[0] = nothing_.get();
  try {
    template_.emplace(starts, *find_preloads().group, exec_, options_.ksm);
  } catch (const std::system_error& error) {
    throw UsageError(error.what(), kCannotStart);
  }
}

void Group::template_is_ready(bool ended) {
  const auto obstacle = template_->obstacle(proc_);
  if (!obstacle) {
    template_ready_ = true;
    accounts_.set_template(template_->pid());
    return;
  }
  if (!stopping_)
    options_.note(fmt::format("{} is started plainly, each copy with a layout of its own: {}",
                              copies_.front().start.file.filename().string(), *obstacle));
  if (!ended) kill(template_->pid(), SIGKILL);
  template_.reset();
  if (!options_.ksm) return;
  for (Copy& copy : copies_) {
    append_preload(copy.start.environment, *find_preloads().group);
    copy.start.environment.push_back(control_for_plain_start(true));
  }
}

std::array<UniqueFd, 3> Group::make_streams(unsigned rank) {
  std::array<UniqueFd, 3> ends;
  Start& start = copies_[rank].start;
  start.streams = {0, 1, 2};
  const bool several = copies_.size() > 1;
  if (several) start.streams[0] = nothing_.get();
  if (!several && !options_.output) return ends;
  Sink* file = nullptr;
  if (options_.output) {
    const auto name = *options_.output / fmt::format("copy-{}.log", rank);
    UniqueFd fd(open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!fd) throw std::system_error(errno, std::generic_category(), name.string());
    sinks_.push_back(std::make_unique<Sink>(std::move(fd), name.string()));
    file = sinks_.back().get();
  }
  for (int i = 1; i < 3; ++i) {
    int pipe_ends[2];
    must(pipe2(pipe_ends, O_CLOEXEC), "pipe");
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    ends[i] = UniqueFd(pipe_ends[1]);
    start.streams[i] = pipe_ends[1];
    Stream stream{UniqueFd(pipe_ends[0]), file ? file : sinks_[i - 1].get(), std::nullopt};
    if (!file) stream.prefixer.emplace(fmt::format("[{}] ", rank));
    streams_.push_back(std::move(stream));
    if (file && i == 1) {  // one pipe for both keeps their order
      start.streams[2] = pipe_ends[1];
      break;
    }
  }
  return ends;
}

void Group::start_more() {
  while (!stopping_ && next_ < copies_.size() && running_ < options_.at_once &&
         (!template_ || template_ready_))
    start(static_cast<unsigned>(next_++));
  if (template_ && template_ready_ && (next_ == copies_.size() || stopping_) &&
      std::all_of(copies_.begin(), copies_.end(),
                  [](const Copy& copy) { return copy.pid || !copy.started || copy.ended; })) {
    template_.reset();  // it ends, and holds no memory any more
    accounts_.template_gone();
  }
  if (!stopping_) return;
  for (; next_ < copies_.size(); ++next_) ended(static_cast<unsigned>(next_), 128 + SIGTERM, "not started");
}

void Group::start(unsigned rank) {
  Copy& copy = copies_[rank];
  copy.started = true;
  ++running_;
  try {
    const auto ends = make_streams(rank);
    if (!template_)
      began(rank, start_plainly(copy.start, exec_));
    else if (!template_->fork(rank, copy.start))
      ended(rank, kCannotStart, "cannot be started: what it is forked from has ended");
  } catch (const std::system_error& error) {
    ended(rank, kCannotStart, fmt::format("cannot be started: {}", error.what()));
  }
}

void Group::began(unsigned rank, pid_t pid) {
  copies_[rank].pid = pid;
  accounts_.add_copy(rank, pid, copies_[rank].start.name, copies_[rank].start.argv);
  if (stopping_) kill(pid, SIGTERM);  // the signal that stops the group came before its PID did
}

void Group::ended(unsigned rank, int status, std::string how) {
  if (copies_[rank].started) --running_;
  copies_[rank].ended = true;
  result_.ends.push_back({rank, status, std::move(how)});
}

void Group::hear_template() {
  if (!template_) return;
  if (!template_ready_) return template_is_ready();
  while (const auto answer = template_->answer()) {
    if (answer->pid)
      began(answer->rank, answer->pid);
    else
      ended(answer->rank, kCannotStart, fmt::format("cannot be started: {}", error_text(answer->error)));
  }
}

void Group::hear_signals() {
  signalfd_siginfo info;
  while (uninterrupted([&] { return read(signals_.fd(), &info, sizeof info); }) == sizeof info) {
    if (info.ssi_signo == SIGCHLD)
      reap();
    else if (info.ssi_signo != SIGPIPE)
      forward(info);
  }
}

void Group::reap() {
  int status = 0;
  rusage usage;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
    const auto find = [&] {
      return std::find_if(copies_.begin(), copies_.end(),
                          [&](const Copy& one) { return one.pid == pid && !one.ended; });
    };
    auto copy = find();
    if (copy == copies_.end() && template_ready_) {  // it may have ended before its start was heard of
      hear_template();
      copy = find();
    }
    accounts_.ended(pid, status, usage);
    if (copy != copies_.end()) {
      const auto rank = static_cast<unsigned>(copy - copies_.begin());
      if (WIFSIGNALED(status))
        ended(rank, 128 + WTERMSIG(status), "killed by " + signal_name(WTERMSIG(status)));
      else
        ended(rank, WEXITSTATUS(status),
              WEXITSTATUS(status) ? fmt::format("exit {}", WEXITSTATUS(status)) : "");
    } else if (template_ && pid == template_->pid()) {
      if (!template_ready_) template_is_ready(true);
      template_.reset();
      accounts_.template_gone();
      template_ready_ = false;
      for (unsigned rank = 0; rank < copies_.size(); ++rank)
        if (copies_[rank].started && !copies_[rank].pid && !copies_[rank].ended)
          ended(rank, kCannotStart, "cannot be started: what it is forked from has ended");
    }
  }
}

void Group::forward(const signalfd_siginfo& info) {
  const auto signal = static_cast<int>(info.ssi_signo);
  const bool from_terminal = info.ssi_code == SI_KERNEL;  // it went to the whole foreground group already
  if (signal == SIGINT && ++interrupts_ > 1) {
    kill_all(SIGKILL);
    return;
  }
  if (signal == SIGINT || signal == SIGTERM || signal == SIGQUIT) stopping_ = true;
  for (const Copy& copy : copies_)
    if (copy.pid && !copy.ended && (!from_terminal || getpgid(copy.pid) != getpgrp())) kill(copy.pid, signal);
  if (template_ && stopping_ && !template_ready_) kill(template_->pid(), SIGKILL);
}

void Group::kill_all(int signal) {
  stopping_ = true;
  if (template_) kill(template_->pid(), signal);
  for (const auto& member : tree_.members()) kill(member.stat.pid, signal);
}

/// False at the stream's end.
bool Group::pump(Stream& stream) {
  char buffer[kPipeRead];
  const ssize_t got = uninterrupted([&] { return read(stream.pipe.get(), buffer, sizeof buffer); });
  if (got < 0 && errno == EAGAIN) return true;
  if (got <= 0) {
    if (stream.prefixer) stream.sink->add(stream.prefixer->finish());
    return false;
  }
  const std::string_view bytes(buffer, static_cast<std::size_t>(got));
  if (stream.prefixer)
    stream.sink->add(stream.prefixer->add(bytes));
  else
    stream.sink->add(bytes);
  return true;
}

void Group::write_to(Sink& sink) {
  if (!sink.is_own_file()) options_.writing();
  const int error = sink.write_some();
  if (error == 0) return;
  // Its writers find a closed pipe, as they would without us.
  std::erase_if(streams_, [&](const Stream& stream) { return stream.sink == &sink; });
  if (error != EPIPE) {
    result_.output_lost = true;
    options_.note(fmt::format("output cannot be written ({}): {}", sink.name(), error_text(error)));
  }
}

void Group::wait_for_something(double until) {
  std::vector<pollfd> polled{{signals_.fd(), POLLIN, 0}, {template_ ? template_->fd() : -1, POLLIN, 0}};
  for (const Stream& stream : streams_)
    polled.push_back({stream.sink->full() ? -1 : stream.pipe.get(), POLLIN, 0});
  const std::size_t first_sink = polled.size();
  for (const auto& sink : sinks_) polled.push_back({sink->waiting() ? sink->fd() : -1, POLLOUT, 0});
  const std::size_t first_join = polled.size();
  if (joined_)
    for (const int fd : joined_->descriptors()) polled.push_back({fd, POLLIN, 0});
  const int timeout = static_cast<int>(std::max(0.0, until - now()) * 1000) + 1;
  if (poll(polled.data(), polled.size(), timeout) <= 0) return;

  std::vector<int> ended_pipes;
  for (std::size_t i = 2; i < first_sink; ++i)
    if (polled[i].revents && !pump(streams_[i - 2])) ended_pipes.push_back(polled[i].fd);
  std::erase_if(streams_, [&](const Stream& stream) {
    return std::find(ended_pipes.begin(), ended_pipes.end(), stream.pipe.get()) != ended_pipes.end();
  });
  for (std::size_t i = first_sink; i < first_join; ++i)
    if (polled[i].revents) write_to(*sinks_[i - first_sink]);
  std::erase_if(sinks_, [&](const auto& sink) {
    return sink->is_own_file() && !sink->waiting() &&
           std::none_of(streams_.begin(), streams_.end(),
                        [&](const Stream& stream) { return stream.sink == sink.get(); });
  });
  if (std::any_of(polled.begin() + static_cast<std::ptrdiff_t>(first_join), polled.end(),
                  [](const pollfd& one) { return one.revents != 0; }))
    joined_->hear();
  if (polled[1].revents & POLLIN) hear_template();
  if (polled[0].revents) hear_signals();
}

/// Hands on what the copies wrote before they ended; what outlives them is not waited for.
void Group::drain() {
  const auto waiting = [&] {
    return std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) { return sink->waiting(); });
  };
  for (auto stream = streams_.begin(); stream != streams_.end();) {
    int left = 0;  // by now: a process that lives on may never stop writing
    ioctl(stream->pipe.get(), FIONREAD, &left);
    for (; left > 0 && pump(*stream); left -= kPipeRead) {
    }
    if (stream->prefixer) stream->sink->add(stream->prefixer->finish());
    stream = streams_.erase(stream);
  }
  while (waiting() && interrupts_ < 2) wait_for_something(now() + 1);
}

GroupResult Group::run() {
  double interval = kFirstLook;
  double next_look = now() + interval;
  double slow_at = now() + kSlowStart;
  start_more();
  while (!done()) {
    wait_for_something(next_look);
    start_more();
    if (template_ && !template_ready_ && now() >= slow_at) {
      options_.note(
          fmt::format("{} has not reached main after {} s (constructors of its libraries?); "
                      "its copies start when it has",
                      copies_.front().start.file.filename().string(), kSlowStart));
      slow_at = std::numeric_limits<double>::infinity();
    }
    if (now() < next_look) continue;
    reap();  // a library that was preloaded into us may have a thread which took SIGCHLD, whose mask is not
             // ours
    if (template_ready_) hear_template();
    options_.looked(accounts_.look(), accounts_);
    if (store_ && next_ == copies_.size()) store_->give_up_unmapped(proc_, tree_.known());
    guard_.watch(tree_.known());
    interval = std::min(2 * interval, kLookInterval);
    next_look = now() + interval;
  }
  if (template_) {
    kill(template_->pid(), SIGKILL);
    template_.reset();
  }
  // What was forked while the others were killed is killed too; what may not be killed is not waited for.
  for (int round = 0; interrupts_ > 1 && round < kKillRounds && !tree_.members().empty(); ++round) {
    kill_all(SIGKILL);
    wait_for_something(now() + kFirstLook);
  }
  drain();
  result_.left_running = tree_.members().size();
  result_.totals = accounts_.counted();
  result_.samples = accounts_.samples();
  result_.rows = accounts_.rows();
  if (joined_) {
    std::set<int> processes;
    for (const ProcessRow& row : result_.rows) processes.insert(row.pid);
    result_.joined = {options_.join->name, joined_->files().size(processes)};
  }
  return std::move(result_);
}

}  // namespace

GroupResult run_group(const GroupOptions& options) {
  return Group(options).run();
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

}  // namespace samepage

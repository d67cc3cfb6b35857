#include "watchdog/daemon.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "linux/signal_state.hpp"
#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"
#include "watchdog/metrics.hpp"
#include "watchdog/notify.hpp"
#include "watchdog/only_one.hpp"
#include "watchdog/policy.hpp"
#include "watchdog/requests.hpp"
#include "watchdog/sampler.hpp"
#include "watchdog/trace.hpp"

namespace samepage {
namespace {

constexpr double kMetricsPause = 10;  // seconds between two writes of the metrics' file

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::vector<RuleLimits> limits_of(const std::vector<Rule>& rules) {
  std::vector<RuleLimits> limits;
  limits.reserve(rules.size());
  for (const Rule& rule : rules) limits.push_back(rule.limits);
  return limits;
}

/// Readable when the next look is due.
class Timer {
 public:
  Timer() : fd_(must(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")) {}

  void set(double seconds) {
    const double whole = std::floor(seconds);
    const itimerspec when{{}, {static_cast<time_t>(whole), static_cast<long>((seconds - whole) * 1e9) + 1}};
    must(::timerfd_settime(fd_.get(), 0, &when, nullptr), "timerfd_settime");
  }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

/// What a daemon that acts has, and a dry run has not.
struct Presence {
  explicit Presence(const KsmPlaces& places)
      : only_one(places.run / "watchdog.lock"),
        requests(places.run / "watchdog.sock", ProcFs(places.proc)),
        metrics(places.run / "metrics.sock", 8192, [](const std::string& text) {
          return text.ends_with("\r\n\r\n") || text.ends_with("\n\n");
        }) {}

  OnlyOne only_one;  // first: what lies at the sockets' places may be another's
  BurstRequests requests;
  LocalSocket metrics;
};

std::optional<KsmLease> lease_for(const WatchdogOptions& options) {
  if (options.dry_run) return std::nullopt;
  std::string why_not;
  std::optional<KsmLease> lease = KsmLease::take(why_not, options.places);
  if (!lease) throw UsageError("watchdog: " + why_not, 1);
  return lease;
}

class Daemon {
 public:
  explicit Daemon(const WatchdogOptions& options)
      : options_(options),
        signals_({SIGINT, SIGTERM, SIGHUP}),
        book_(options.places.run / "watchdog.json"),
        actor_(lease_for(options), options.registrar, book_, options.places.proc),
        sampler_(options.places, options.config.rules),
        policy_(options.config.limits, limits_of(options.config.rules)) {
    if (!options.dry_run) {
      presence_.emplace(options.places);
      KsmLease::repair(options.places);
    }
    if (options.record)
      trace_.emplace(*options.record, options.config.limits, limits_of(options.config.rules));
  }

  void run() {
    options_.log(fmt::format("watching: {}{}", summary_of(options_.config),
                             options_.dry_run ? "; dry run, nothing is done" : ""));
    look({});
    notify_.send("READY=1");
    while (!wait()) {
      const std::vector<pid_t> requests = presence_ ? presence_->requests.take(now()) : std::vector<pid_t>();
      if (!requests.empty() || now() >= next_look_) look(requests);
      if (presence_) serve_metrics();
    }
    notify_.send("STOPPING=1");
    options_.log("ended: KSM's settings are put back, what is merged stays merged");
  }

 private:
  static double now() { return seconds_of(CLOCK_MONOTONIC); }

  static std::string summary_of(const WatchdogConfig& config) {
    return fmt::format("{} rules, ksmd may take {:.1f} % of a core", config.rules.size(),
                       100 * config.limits.cpu);
  }

  /// A mistake in the new rules leaves the old ones.
  void reload() {
    try {
      const WatchdogConfig config = options_.read_config();
      if (trace_) trace_->change(config.limits, limits_of(config.rules));
      policy_.change(config.limits, limits_of(config.rules));
      sampler_.change(config.rules);
      next_look_ = 0;
      options_.log("read again: " + summary_of(config));
    } catch (const UsageError& error) {
      options_.log(fmt::format("not read again, the old rules stay: {}", error.what()));
    }
  }

  void look(const std::vector<pid_t>& requests) {
    sample_ = sampler_.look(now(), actor_.bursting(), book_, requests);
    if (trace_) trace_->add(sample_);
    const bool was_bursting = policy_.bursting();
    if (was_bursting) tally_.burst_seconds += sample_.seconds - last_look_;
    last_look_ = sample_.seconds;
    ++tally_.looks;
    const auto decisions = policy_.next(sample_);
    for (const Decision& decision : decisions) {
      const auto failure = actor_.carry_out(decision, tally_);
      options_.log(text_of(decision));  // when it is done, so that who reads it finds it done
      if (failure) options_.log("failed: " + *failure);
    }
    if (presence_) presence_->requests.answer_all(decisions);
    if (!options_.dry_run) book_.save();
    tell(!decisions.empty());
    next_look_ = now() + policy_.look_again_in();
    timer_.set(policy_.look_again_in());
  }

  void tell(bool changed) {
    const double alive = notify_.sign_of_life();
    if (alive > 0 && sample_.seconds - told_alive_ >= alive / 3) {
      notify_.send("WATCHDOG=1");
      told_alive_ = sample_.seconds;
    }
    if (changed)
      notify_.send(fmt::format("STATUS={}; {} saved on this host", policy_.bursting() ? "merging" : "resting",
                               megabytes(static_cast<double>(saved_bytes(sample_.counters)))));
    if (options_.metrics && (changed || sample_.seconds - wrote_metrics_ >= kMetricsPause)) {
      wrote_metrics_ = sample_.seconds;
      try {
        options_.write_file(*options_.metrics, metrics());
        metrics_fail_ = false;
      } catch (const UsageError& error) {
        if (!std::exchange(metrics_fail_, true))
          options_.log(std::string("failed: metrics: ") + error.what());
      }
    }
  }

  std::string metrics() {
    tally_.own_cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    return metrics_text(sample_, policy_, tally_);
  }

  void serve_metrics() {
    for (LocalRequest& request : presence_->metrics.take(now())) {
      const bool get = request.text.starts_with("GET ");
      answer(std::move(request),
             get ? "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n" + metrics()
                 : "HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\n\r\n");
    }
  }

  /// Until something is to be done. True when that is to end.
  bool wait() {
    std::vector<pollfd> polled = {{signals_.fd(), POLLIN, 0}, {timer_.fd(), POLLIN, 0}};
    int timeout = -1;
    if (presence_) {
      for (const int fd : presence_->requests.fds()) polled.push_back({fd, POLLIN, 0});
      for (const int fd : presence_->metrics.fds()) polled.push_back({fd, POLLIN, 0});
      if (presence_->requests.has_clients() || presence_->metrics.has_clients())
        timeout = 1000;  // for the slow
    }
    uninterrupted([&] { return ::poll(polled.data(), polled.size(), timeout); });
    // All are taken, or they would strike when the mask is put back.
    bool end = false, read_again = false;
    while (const int signal = signals_.take()) (signal == SIGHUP ? read_again : end) = true;
    if (read_again && !end) reload();
    return end;
  }

  const WatchdogOptions& options_;
  SignalState signals_;
  Notify notify_;
  AdoptedBook book_;
  Actor actor_;
  std::optional<Presence> presence_;
  Sampler sampler_;
  WatchdogPolicy policy_;
  std::optional<TraceWriter> trace_;
  Timer timer_;
  WatchdogTally tally_;
  HostSample sample_;
  double next_look_ = 0, last_look_ = 0, told_alive_ = -1e9, wrote_metrics_ = -1e9;
  bool metrics_fail_ = false;
};

}  // namespace

void run_watchdog(const WatchdogOptions& options) {
  Daemon(options).run();
}

}  // namespace samepage

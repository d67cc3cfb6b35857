#include "task.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace bench {

namespace {

struct Head {
  std::uint64_t sent_ns, number;
};

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double cpu_seconds() {
  rusage own{}, children{};
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return seconds(own.ru_utime) + seconds(own.ru_stime) + seconds(children.ru_utime) +
         seconds(children.ru_stime);
}

std::uint32_t median(std::vector<std::uint32_t>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Settings settings(int argc, char** argv) {
  Settings result;
  CLI::App app("Brings events to workers and counts their answers");
  app.add_option("--bytes", result.bytes)->check(CLI::Range(std::size_t{16}, std::size_t{1} << 30));
  app.add_option("--events", result.events);
  app.add_option("--workers", result.workers);
  app.add_option("--pause-us", result.pause_us);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return result;
}

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

void make_event(std::uint64_t number, std::span<std::byte> event) {
  static const std::vector<std::byte> buffer = [&] {
    std::vector<std::byte> bytes(event.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 131);
    return bytes;
  }();
  const Head head{now_ns(), number};
  std::memcpy(event.data(), &head, sizeof head);
  std::memcpy(event.data() + sizeof head, buffer.data(), event.size() - sizeof head);
}

Answer answer(std::span<const std::byte> event) {
  static std::uint64_t ended = 0;
  const std::uint64_t began = now_ns();
  Head head;
  std::memcpy(&head, event.data(), sizeof head);
  std::uint64_t sum = 0, word = 0;
  for (std::size_t at = sizeof head; at + sizeof word <= event.size(); at += sizeof word) {
    std::memcpy(&word, event.data() + at, sizeof word);
    sum += word;
  }
  const auto gap = static_cast<std::uint32_t>(ended ? std::min<std::uint64_t>(began - ended, 0xffffffff) : 0);
  ended = now_ns();
  return {head.number, sum, began, gap,
          static_cast<std::uint32_t>(std::min<std::uint64_t>(began - head.sent_ns, 0xffffffff))};
}

Counter::Counter(const Settings& settings) : settings_(settings) {
  gaps_.reserve(settings.events);
  waits_.reserve(settings.events);
}

void Counter::start() {
  began_ = now_ns();
}

void Counter::take(const Answer& answer) {
  sum_ += answer.sum;
  numbers_ += answer.number;
  first_event_ = std::min(first_event_, answer.began_ns);
  if (answer.gap_ns) gaps_.push_back(answer.gap_ns);
  waits_.push_back(answer.wait_ns);
  if (++taken_ == settings_.events) ended_ = now_ns();
}

void Counter::report() {
  if (taken_ != settings_.events || numbers_ != settings_.events * (settings_.events - 1) / 2) {
    std::fprintf(stderr, "%llu of %llu events were answered\n", static_cast<unsigned long long>(taken_),
                 static_cast<unsigned long long>(settings_.events));
    std::exit(1);
  }
  const double time = 1e-9 * static_cast<double>(ended_ - began_),
               events = static_cast<double>(settings_.events);
  std::printf(
      "{\"seconds\": %.6f, \"events_per_s\": %.1f, \"gb_per_s\": %.4f, \"gap_ns\": %u, \"wait_ns\": %u, "
      "\"first_event_ms\": %.3f, \"cpu_us_per_event\": %.3f}\n",
      time, events / time, events * static_cast<double>(settings_.bytes) / time * 1e-9, median(gaps_),
      median(waits_), 1e-6 * static_cast<double>(first_event_ - began_), cpu_seconds() / events * 1e6);
}

void fork_workers(unsigned count, const std::function<void(unsigned)>& work) {
  for (unsigned index = 0; index < count; ++index) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(index);
    _exit(0);
  }
}

void wait_for_workers() {
  while (wait(nullptr) > 0) {
  }
}

void pause(const Settings& settings) {
  if (settings.pause_us) std::this_thread::sleep_for(std::chrono::microseconds(settings.pause_us));
}

}  // namespace bench

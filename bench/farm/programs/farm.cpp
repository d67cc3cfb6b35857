// Samepage's farm: outputs in the order of events, every event's output committed once.
#include "samepage/farm.hpp"

#include <sys/mman.h>

#include <cstring>

#include "task.hpp"

namespace {

namespace farm = samepage::farm;

class Events final : public farm::Source {
 public:
  explicit Events(const bench::Settings& settings) : settings_(settings) {}
  bool next(farm::EventBuffer& buffer) override {
    if (number_ == settings_.events) return false;
    bench::pause(settings_);
    bench::make_event(number_++, buffer.allocate(settings_.bytes));
    return true;
  }
  bool ready() const override { return settings_.pause_us == 0; }

 private:
  const bench::Settings& settings_;
  std::uint64_t number_ = 0;
};

/// Runs in the writer's process; the answers are counted in the one that called run().
class Keep final : public farm::Sink {
 public:
  explicit Keep(bench::Answer* answers) : next_(answers) {}
  void open(const std::optional<std::string>&) override {}
  void write(std::uint64_t, std::span<const std::byte> output) override {
    std::memcpy(next_++, output.data(), sizeof *next_);
  }
  std::string commit() override { return {}; }
  void finish(std::span<const std::byte>) override {}

 private:
  bench::Answer* next_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Settings settings = bench::settings(argc, argv);
  const std::size_t bytes = settings.events * sizeof(bench::Answer);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* answers = static_cast<bench::Answer*>(memory);
  bench::Counter counter(settings);

  farm::Job job;
  job.source = [&] { return std::make_unique<Events>(settings); };
  job.sink = [&] { return std::make_unique<Keep>(answers); };
  job.process = [](const farm::Event& event, farm::Output& output) {
    const bench::Answer answer = bench::answer(event.bytes);
    output.append(std::as_bytes(std::span(&answer, 1)));
  };
  job.options.workers = settings.workers;
  job.options.progress = farm::Options::Progress::none;
  counter.start();
  const farm::Report report = farm::run(job);
  for (std::uint64_t i = 0; i < report.events; ++i) counter.take(answers[i]);
  counter.report();
  return report.exit_status();
}

// Boost.Interprocess: one queue to all workers, one back.
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <string>
#include <thread>
#include <vector>

#include "task.hpp"

namespace {

using boost::interprocess::message_queue;

struct Queue {
  Queue(const std::string& called, std::size_t depth, std::size_t bytes)
      : name(called), queue(boost::interprocess::create_only, called.c_str(), depth, bytes) {}
  ~Queue() { message_queue::remove(name.c_str()); }
  const std::string name;
  message_queue queue;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Settings settings = bench::settings(argc, argv);
  bench::Counter counter(settings);
  const std::string name = "samepage-bench-" + std::to_string(getpid());
  Queue events(name + "-out", std::clamp<std::size_t>((32 << 20) / settings.bytes, 2, 10'000),
               settings.bytes);
  Queue answers(name + "-in", 10'000, sizeof(bench::Answer));
  counter.start();
  bench::fork_workers(settings.workers, [&](unsigned) {
    std::vector<std::byte> event(settings.bytes);
    for (;;) {
      std::size_t size = 0;
      unsigned priority = 0;
      events.queue.receive(event.data(), event.size(), size, priority);
      if (size == 0) break;
      const bench::Answer answer = bench::answer({event.data(), size});
      answers.queue.send(&answer, sizeof answer, 0);
    }
  });
  {
    const std::jthread collector([&] {
      bench::Answer answer;
      std::size_t size = 0;
      unsigned priority = 0;
      while (counter.taken() < settings.events) {
        answers.queue.receive(&answer, sizeof answer, size, priority);
        counter.take(answer);
      }
    });
    std::vector<std::byte> event(settings.bytes);
    for (std::uint64_t number = 0; number < settings.events; ++number) {
      bench::pause(settings);
      bench::make_event(number, event);
      events.queue.send(event.data(), event.size(), 0);
    }
  }
  for (unsigned i = 0; i < settings.workers; ++i) events.queue.send(nullptr, 0, 0);
  bench::wait_for_workers();
  counter.report();
}

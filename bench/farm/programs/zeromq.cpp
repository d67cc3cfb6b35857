// ZeroMQ: push to workers, pull from them, over Unix sockets.
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "task.hpp"

namespace {

void must(int result) {
  if (result < 0) {
    std::fprintf(stderr, "zmq: %s\n", zmq_strerror(zmq_errno()));
    std::exit(1);
  }
}

/// So that some 32 MB are under way at most, as in the other programs.
int high_water(const bench::Settings& settings) {
  return static_cast<int>(std::clamp<std::size_t>((32 << 20) / settings.bytes, 2, 10'000));
}

void* socket(void* context, int type, const std::string& address, bool bind, int high) {
  void* result = zmq_socket(context, type);
  must(zmq_setsockopt(result, ZMQ_SNDHWM, &high, sizeof high));
  must(zmq_setsockopt(result, ZMQ_RCVHWM, &high, sizeof high));
  must(bind ? zmq_bind(result, address.c_str()) : zmq_connect(result, address.c_str()));
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Settings settings = bench::settings(argc, argv);
  bench::Counter counter(settings);
  const std::string to_workers = "ipc://@samepage-bench-out-" + std::to_string(getpid());
  const std::string from_workers = "ipc://@samepage-bench-in-" + std::to_string(getpid());
  const int high = high_water(settings);
  counter.start();
  bench::fork_workers(settings.workers, [&](unsigned) {
    void* context = zmq_ctx_new();
    void* events = socket(context, ZMQ_PULL, to_workers, false, high);
    void* answers = socket(context, ZMQ_PUSH, from_workers, false, 10'000);
    for (;;) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      must(zmq_msg_recv(&message, events, 0));
      if (zmq_msg_size(&message) == 0) break;
      const bench::Answer answer =
          bench::answer({static_cast<const std::byte*>(zmq_msg_data(&message)), zmq_msg_size(&message)});
      zmq_msg_close(&message);
      must(zmq_send(answers, &answer, sizeof answer, 0));
    }
    zmq_close(events);
    zmq_close(answers);
    zmq_ctx_term(context);
  });
  void* context = zmq_ctx_new();
  void* answers = socket(context, ZMQ_PULL, from_workers, true, 10'000);
  void* events = socket(context, ZMQ_PUSH, to_workers, true, high);
  {
    const std::jthread collector([&] {
      bench::Answer answer;
      while (counter.taken() < settings.events &&
             zmq_recv(answers, &answer, sizeof answer, 0) == sizeof answer)
        counter.take(answer);
    });
    for (std::uint64_t number = 0; number < settings.events; ++number) {
      bench::pause(settings);
      zmq_msg_t message;
      must(zmq_msg_init_size(&message, settings.bytes));
      bench::make_event(number, {static_cast<std::byte*>(zmq_msg_data(&message)), settings.bytes});
      must(zmq_msg_send(&message, events, 0));
    }
  }
  // A worker that connected late may not get its share of these: until all have ended.
  for (unsigned ended = 0; ended < settings.workers;) {
    zmq_send(events, "", 0, ZMQ_DONTWAIT);
    if (waitpid(-1, nullptr, WNOHANG) > 0) {
      ++ended;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  const int no_linger = 0;
  must(zmq_setsockopt(events, ZMQ_LINGER, &no_linger, sizeof no_linger));
  zmq_close(events);
  zmq_close(answers);
  zmq_ctx_term(context);
  counter.report();
}

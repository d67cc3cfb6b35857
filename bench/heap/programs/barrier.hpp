// A reusable barrier.
#pragma once
#include <pthread.h>

namespace samepage {

/// pthread's barrier. Not std::barrier, which spins before it sleeps and so eats CPU when threads outnumber
/// CPUs.
class Barrier {
 public:
  explicit Barrier(unsigned threads) { pthread_barrier_init(&barrier_, nullptr, threads); }
  ~Barrier() { pthread_barrier_destroy(&barrier_); }
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  void arrive_and_wait() { pthread_barrier_wait(&barrier_); }

 private:
  pthread_barrier_t barrier_;
};

}  // namespace samepage

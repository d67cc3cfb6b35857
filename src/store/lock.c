#define _GNU_SOURCE
#include "store/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "store/system.h"

enum { PATIENCE_NS = 100000000 };

/* It knows its holder, so that a thread that comes back to it does not wait for itself. */
static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static uint64_t signals_before; /* of the holder */

static bool taken(int error, uint64_t signals) {
  if (!error)
    signals_before = signals;
  else
    store_restore_signals(signals);
  return !error;
}

bool store_lock(void) {
  const uint64_t signals = store_block_signals();
  return taken(pthread_mutex_lock(&lock), signals);
}

bool store_try_lock(void) {
  const uint64_t signals = store_block_signals();
  return taken(pthread_mutex_trylock(&lock), signals);
}

bool store_lock_in_malloc(void) {
  const uint64_t signals = store_block_signals();
  const int64_t until = store_now_ns() + PATIENCE_NS;
  const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
  return taken(pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &time), signals);
}

void store_unlock(void) {
  const uint64_t signals = signals_before;
  pthread_mutex_unlock(&lock);
  store_restore_signals(signals);
}

void store_lock_to_fork(void) {
  pthread_mutex_lock(&lock);
}

void store_unlock_forked(bool child) {
  if (child) /* its holder has another number here */
    lock = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
  else
    pthread_mutex_unlock(&lock);
}

#include "heap/settle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "heap/config.h"
#include "heap/jemalloc.h"
#include "heap/phase.h"
#include "heap/policy.h"

enum { LOOK_EVERY_MS = 100, WRONG_PERCENT = 10 };

static _Atomic(int) tick_every = LOOK_EVERY_MS;

static atomic_bool watching = true;
static _Atomic(int64_t) next_look;
static _Atomic(size_t) seen_size, freed_bytes;
static _Atomic(int64_t) started, grown_at; /* ms of the process's CPU time */
static atomic_bool settled_by_guess;

static int64_t now_ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t constant_size(void) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  return end - begin;
}

void heap_tick_every(int milliseconds) {
  atomic_store(&tick_every, milliseconds);
}

void heap_settle_never_again(void) {
  atomic_store(&watching, false);
}

void heap_constants_freed(size_t bytes) {
  atomic_fetch_add_explicit(&freed_bytes, bytes, memory_order_relaxed);
}

void heap_constants_freed_anew(void) {
  atomic_store(&freed_bytes, 0);
}

size_t heap_constants_freed_total(void) {
  return atomic_load(&freed_bytes);
}

static void look(void) {
  if (heap_default_role() == HEAP_TACTICAL) {
    if (atomic_load(&settled_by_guess) && atomic_load(&freed_bytes) > constant_size() / 100 * WRONG_PERCENT) {
      heap_unsettle();
      atomic_store(&watching, false);
    }
    return;
  }
  if (heap_config.settle_file && access(heap_config.settle_file, F_OK) == 0) {
    heap_settle();
    return;
  }
  int64_t now = now_ms(CLOCK_PROCESS_CPUTIME_ID);
  size_t size = constant_size();
  if (size != atomic_load(&seen_size)) {
    atomic_store(&seen_size, size);
    atomic_store(&grown_at, now);
    if (!atomic_load(&started)) atomic_store(&started, now);
  }
  int64_t growing = (atomic_load(&grown_at) - atomic_load(&started)) / 2;
  int64_t quiet = growing > heap_config.settle_quiet_ms ? growing : heap_config.settle_quiet_ms;
  if (heap_config.settle_auto && size >= heap_config.settle_min && now - atomic_load(&grown_at) >= quiet)
    atomic_store(&settled_by_guess, heap_settle());
}

/* Called by jemalloc between two allocations of the thread, none of its locks held. */
static void on_activity(void* context, uint64_t allocated, uint64_t freed) {
  (void)context, (void)allocated, (void)freed;
  int64_t now = now_ms(CLOCK_MONOTONIC_COARSE), due = atomic_load_explicit(&next_look, memory_order_relaxed);
  if (now < due || !atomic_compare_exchange_strong(&next_look, &due, now + atomic_load(&tick_every))) return;
  int saved = errno;
  heap_policy_tick();
  atomic_store(&next_look, now_ms(CLOCK_MONOTONIC) + atomic_load(&tick_every)); /* from its end */
  if (heap_config.known && atomic_load(&watching)) look();
  errno = saved;
}

void heap_settle_watch_thread(void) {
  struct {
    void (*callback)(void*, uint64_t, uint64_t);
    void* context;
  } thunk = {on_activity, NULL};
  /* Absent in a jemalloc other than 5.3: then the heap settles when it is told. */
  je_mallctl("experimental.thread.activity_callback", NULL, NULL, &thunk, sizeof thunk);
}

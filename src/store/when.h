/* When the store does something by itself: which work is due, and the pace of passes. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether a call that may wait is to ask for work at all: false costs one load. */
extern atomic_bool store_awake __attribute__((visibility("hidden")));

typedef enum {
  STORE_NOTHING,
  STORE_WATCH, /* a child was just forked: it will show soon whether it lives on */
  STORE_SEAL,
  STORE_PAID_PASS, /* of a process that works: in a moment between two pieces of work, if there are any */
  STORE_IDLE_PASS, /* once it is found idle */
  STORE_PURGE,     /* what events have freed goes back to the kernel */
} store_work;

enum { STORE_NOT_YET_IDLE_MS = 50 }; /* who waits is not idle before */

static inline bool store_is_pass(store_work work) {
  return work == STORE_PAID_PASS || work == STORE_IDLE_PASS;
}

/* What is due now. `idle`: the process is about to wait. Any thread, no lock. */
store_work store_due(bool idle);
/* For a thread that is about to wait: the milliseconds for which nothing is to be done, as no more is to come
 * than a pass for when the process is idle, at least STORE_NOT_YET_IDLE_MS; 0 if there is something, or
 * nothing at all. */
int store_due_later(void);
/* Does one step of it, of at most 10 ms; false if it could not be done now. */
bool store_step(store_work work);

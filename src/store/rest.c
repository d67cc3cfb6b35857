#define _GNU_SOURCE
#include "store/rest.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "store/system.h"

enum {
  MS = 1000000,
  OF_SECOND = 1000 * MS,
  BUSY_MOST = 5,       /* one of so many */
  LEAST_NS = 200 * MS, /* how long the machine is looked at; */
  MOST_NS = 1000 * MS, /* what it did before is no sign: work that begins would be disturbed most */
};

static atomic_flag is_looked_at = ATOMIC_FLAG_INIT;
static atomic_bool at_rest;
static _Atomic(int64_t) looked_at; /* store_now_ns() */
static store_rest last;            /* guarded by the flag */

/* 12345.67, in whatever language the program speaks. */
static int64_t number(char** at) {
  const int64_t whole = strtoll(*at, at, 10);
  const int64_t hundredths = **at == '.' ? strtoll(*at + 1, at, 10) : 0;
  return whole * OF_SECOND + hundredths * (OF_SECOND / 100);
}

store_rest store_rest_now(void) {
  char text[64], *at = text;
  if (!store_read_text("/proc/uptime", text, sizeof text)) return (store_rest){0, 0};
  const int64_t time = number(&at);
  return (store_rest){time, number(&at)};
}

static bool was_at_rest(const store_rest* then, const store_rest* now) {
  const int64_t all = (now->time - then->time) * sysconf(_SC_NPROCESSORS_ONLN);
  return all > 0 && now->idle - then->idle >= all - all / BUSY_MOST;
}

bool store_at_rest_since(const store_rest* then) {
  const store_rest now = store_rest_now();
  return was_at_rest(then, &now);
}

static bool is_fresh(void) {
  return store_now_ns() - atomic_load(&looked_at) < LEAST_NS;
}

bool store_machine_is_at_rest(void) {
  if (is_fresh()) return atomic_load(&at_rest);
  if (atomic_flag_test_and_set(&is_looked_at)) return false;
  if (is_fresh()) { /* another thread has looked meanwhile */
    atomic_flag_clear(&is_looked_at);
    return atomic_load(&at_rest);
  }
  const store_rest now = store_rest_now();
  atomic_store(&at_rest, now.time - last.time <= MOST_NS && was_at_rest(&last, &now));
  last = now;
  atomic_store(&looked_at, store_now_ns());
  atomic_flag_clear(&is_looked_at);
  return atomic_load(&at_rest);
}

void store_rest_forked(void) {
  atomic_flag_clear(&is_looked_at); /* the fork may have come in between */
  atomic_store(&at_rest, false);
  atomic_store(&looked_at, 0);
  last = (store_rest){0, 0};
}

#define _GNU_SOURCE
#include "store/pace.h"

#include <stdatomic.h>
#include <sys/resource.h>

#include "store/block.h"
#include "store/config.h"
#include "store/pages.h"
#include "store/rest.h"
#include "store/statistics.h"
#include "store/system.h"

enum {
  MS = 1000000,
  GIVE_BACK_NS = 2400,      /* what it costs to compare a page and to give it back, before that was seen */
  MANY = 512,               /* pages; a pass that compares so many shows what one costs */
  BUSY_LEAST_NS = 250 * MS, /* between passes of a process that works */
  IDLE_LEAST_NS = 50 * MS,  /* between passes of an idle process */
  SAVED_S = 5,              /* or, at once, what was left of that in so many seconds before */
  LITTLE = 64,              /* pages; a pass that gives back fewer was hardly worth it */
  WORTH_SHARE = 32,         /* what it may have in private for a while: 1/32 of what is sealed, */
  BUSY_SHARE = 8,           /* while the machine is busy, too, 1/8: each pass disturbs some piece of work; */
  REST_SHARE = 4,           /* and while it is at rest such passes take 1/4 of the budget, of the time */
  IDLE_SHARE = 3,           /* passes of an idle process take at most so many times its budget, of the time */
  SLOWEST = 64,             /* times slower, at most, after passes that brought little */
  LATER_MOST = 8,
  IDLE_CPU_NS = MS / 2, /* a process that has run for less than this since has nothing to give back */
};

/* So little is what the next request needs first, as a rule: it is given back so long after the last pass, up
 * to LATER_MOST times as long after such as brought little. */
static const int64_t LATER_NS = (int64_t)3000 * MS;

static _Atomic(int64_t) idle_at, busy_at, later_at;
/* The turn of pages that were given up, if the process is idle until then. */
static _Atomic(int64_t) given_up_at;
static _Atomic(int64_t) passed_at, cpu_then, faults_then; /* at the last pass, */
static _Atomic(int64_t) last_cost;                        /* and the CPU time that it took itself, */
static _Atomic(int64_t) give_back_ns = GIVE_BACK_NS;      /* of each page that was compared */

/* Under the store's lock: the time up to which idle passes have used their share; */
static int64_t paid_to;
static unsigned slower = 1;
/* and what had been used when the pass began that is under way. */
static int64_t cpu_at_begin, faults_at_begin;

static int64_t cpu_now(void) {
  return store_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Minor faults of the process: every page that has become private was one. -1 if the kernel does not tell. */
static int64_t faults_now(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) ? -1 : usage.ru_minflt;
}

/* What a pass may cost is owed, and earned, from here on. */
static void settle_accounts(int64_t now, int64_t cpu, int64_t faults) {
  atomic_store(&passed_at, now);
  atomic_store(&later_at, now + LATER_NS * (slower < LATER_MOST ? slower : LATER_MOST));
  atomic_store(&cpu_then, cpu);
  atomic_store(&faults_then, faults);
}

void store_pace_begin(int64_t now) {
  atomic_store(&busy_at, now + BUSY_LEAST_NS);
  atomic_store(&idle_at, now + IDLE_LEAST_NS);
  atomic_store(&passed_at, now);
  atomic_store(&later_at, now + LATER_NS);
  atomic_store(&given_up_at, INT64_MAX);
  atomic_store(&cpu_then, 0);
  atomic_store(&faults_then, 0);
  atomic_store(&last_cost, 0);
  paid_to = now;
  slower = 1;
}

static int64_t pages_of(size_t bytes) {
  return (int64_t)(bytes / STORE_PAGE);
}

/* A page that has become private since was a fault; one that the last pass left so may have its old bytes
 * again. */
static bool is_little(int64_t faults, int share) {
  return faults + pages_of(store_statistics.private_after) < pages_of(store_statistics.sealed) / share;
}

/* Of a process that works a pass, with the faults that it may cause, takes no more than its share of the CPU
 * time since the last one, or some of the time, while the machine is at rest. It is made when there is
 * something to be won: each disturbs some piece of work. */
static bool busy_pass_is_paid(int64_t now) {
  const int64_t faults = faults_now(), sealed = pages_of(store_statistics.sealed);
  if (faults < 0) return false;
  int64_t pages = faults - atomic_load(&faults_then);
  const bool at_rest = store_machine_is_at_rest();
  if (is_little(pages, at_rest ? WORTH_SHARE : BUSY_SHARE)) return false;
  if (pages > sealed) pages = sealed;
  const int64_t own = pages * atomic_load(&give_back_ns), least = atomic_load(&last_cost);
  const double dearest =
      (double)((own > least ? own : least) + pages * store_block_fault_ns()) / store_config.budget;
  return dearest <= (double)(cpu_now() - atomic_load(&cpu_then)) ||
         (at_rest && dearest * REST_SHARE <= (double)(now - atomic_load(&passed_at)));
}

int64_t store_pace_next(void) {
  const int64_t faults = faults_now() - atomic_load(&faults_then);
  if (cpu_now() - atomic_load(&cpu_then) <= IDLE_CPU_NS || (!faults && !store_statistics.private_after))
    return atomic_load(&given_up_at);
  const int64_t at = atomic_load(&idle_at), later = atomic_load(&later_at);
  return is_little(faults, WORTH_SHARE) && at < later ? later : at;
}

bool store_pace_paid(int64_t now) {
  int64_t due = atomic_load(&busy_at);
  if (now < due) return false;
  if (busy_pass_is_paid(now)) return true;
  atomic_compare_exchange_strong(&busy_at, &due, now + BUSY_LEAST_NS);
  return false;
}

bool store_pace_idle(int64_t now) {
  return now >= atomic_load(&idle_at) && now >= store_pace_next();
}

/* When the next idle pass is paid for, after one that cost so much. */
static int64_t pay(int64_t now, int64_t cost) {
  const int64_t saved = now - SAVED_S * INT64_C(1000000000);
  if (paid_to < saved) paid_to = saved;
  if (paid_to > now) paid_to = now;
  return paid_to += (int64_t)((double)cost / (IDLE_SHARE * store_config.budget));
}

void store_pace_sealed(void) {
  if (!store_statistics.passes) settle_accounts(store_now_ns(), cpu_now(), faults_now());
}

void store_pace_pass_begins(void) {
  cpu_at_begin = cpu_now();
  faults_at_begin = faults_now();
}

bool store_pace_passed(const store_pass* pass) {
  const int64_t now = store_now_ns();
  const bool worth = pass->given_back >= LITTLE;
  if (worth)
    slower = 1;
  else if (slower < SLOWEST)
    slower *= 2;
  const int64_t paid = pay(now, pass->cpu_ns + (int64_t)pass->faults * store_block_fault_ns());
  const int64_t least = now + (int64_t)IDLE_LEAST_NS * slower;
  atomic_store(&idle_at, paid > least ? paid : least);
  atomic_store(&busy_at, now + (int64_t)BUSY_LEAST_NS * slower);
  settle_accounts(now, cpu_at_begin + pass->cpu_ns, faults_at_begin + pass->own_faults);
  atomic_store(&given_up_at, pass->given_up >= LITTLE ? now + LATER_NS : INT64_MAX);
  atomic_store(&last_cost, pass->cpu_ns);
  if (pass->compared >= MANY) atomic_store(&give_back_ns, pass->cpu_ns / pass->compared);
  return worth;
}

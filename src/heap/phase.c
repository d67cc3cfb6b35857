#include "heap/phase.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "heap/extents.h"
#include "heap/options.h"
#include "heap/policy.h"
#include "heap/settle.h"

_Thread_local unsigned heap_thread_epoch;

enum { SCOPES_MAX = 64, SCOPED = 0 /* an epoch that never is */ };

static _Atomic(unsigned) generation;
static _Atomic(heap_role) default_role = HEAP_CONSTANT;
static atomic_bool tactical_scope_used;
static atomic_bool copy_next_fork;
static pthread_key_t teardown_key;

#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL heap_arena* arena;    /* that this thread is bound to */
THREAD_LOCAL unsigned bound_epoch; /* when that was */
THREAD_LOCAL bool entering;     /* inside bind(): what jemalloc allocates for itself goes straight through */
THREAD_LOCAL bool purge_wanted; /* by heap_purge_soon */
THREAD_LOCAL bool leaving_parents_arena; /* in the first thread of a child, until it is bound to its own */
THREAD_LOCAL unsigned scope_depth;       /* open scopes; scopes[] holds the first SCOPES_MAX of their roles */
THREAD_LOCAL unsigned char scopes[SCOPES_MAX];
THREAD_LOCAL heap_arena* scope_arena[2]; /* by role; acquired at the first scope of the generation */
THREAD_LOCAL unsigned scope_generation;

heap_role heap_default_role(void) {
  return atomic_load(&default_role);
}
unsigned heap_generation(void) {
  return atomic_load(&generation);
}

bool heap_next_fork_is_copy(void) {
  return atomic_load(&copy_next_fork);
}

/* ---- fork ---- */

/* Free pages that a worker finds in its parent's arenas it neither uses nor gives back, and the store would
 * publish them. At most once a second, so that a process that forks all the time does not lose them each
 * time. */
static void purge_constants(void) {
  static _Atomic(time_t) purged_at;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  if (atomic_exchange(&purged_at, now.tv_sec) != now.tv_sec) heap_arenas_purge(HEAP_CONSTANT);
}

/* The caller's cache is emptied here because the child would have to: its pages are of the old role, and
 * freeing them there would un-share a page of bookkeeping for nearly every block. */
static void before_fork(void) {
  je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
  purge_constants();
  heap_arena_prepare(atomic_load(&generation) + 1);
  heap_arenas_lock();
  heap_policy_before_fork(); /* after all that may purge, which policies are asked for */
}

static void in_parent(void) {
  heap_arenas_unlock();
  atomic_store(&copy_next_fork, false);
}

static void in_child(void) {
  heap_arenas_forked();
  if (atomic_exchange(&copy_next_fork, false)) { /* still the program's own start: keep its phase */
    if (arena) ++arena->threads;
    return;
  }
  atomic_fetch_add(&generation, 1);
  atomic_store(&default_role, HEAP_TACTICAL);
  heap_window_in_child();
  heap_settle_never_again();
  heap_constants_freed_anew();
  heap_options_of_a_worker();
  arena = NULL; /* the parent's: nothing to release here */
  leaving_parents_arena = true;
  atomic_fetch_add(&heap_fast.epoch, 1);
}

/* For a launcher that forks copies of a program before its main: the next child of this process stays in the
 * constant phase. */
__attribute__((visibility("default"))) void samepage_heap_copy_next_fork(void) {
  heap_arenas_keep_layout();
  atomic_store(&copy_next_fork, true);
}

/* ---- first call ---- */

static void thread_teardown(void* bound) {
  heap_arena_release(bound);
}

static void initialise_once(void) {
  heap_range_init();
  uint64_t value;
  size_t length = sizeof value;
  je_mallctl("epoch", &value, &length, NULL,
             0); /* initialises jemalloc, whose fork handlers then precede ours */
  heap_options_init();
  pthread_key_create(&teardown_key, thread_teardown);
  pthread_atfork(before_fork, in_parent, in_child);
}

static void initialise(void) {
  static _Atomic(int) state; /* 0 untouched, 1 under way, 2 done */
  if (atomic_load_explicit(&state, memory_order_acquire) == 2) return;
  int untouched = 0;
  if (atomic_compare_exchange_strong(&state, &untouched, 1)) {
    initialise_once();
    atomic_store_explicit(&state, 2, memory_order_release);
    return;
  }
  while (atomic_load_explicit(&state, memory_order_acquire) != 2)
    sched_yield(); /* another thread's first call */
}

/* ---- threads ---- */

/* Stands before jemalloc's own count (ld --wrap): jemalloc purges an arena that its last thread leaves, which
 * in a child would write megabytes of its parent's bookkeeping and gain nothing. */
unsigned __real_je_arena_nthreads_get(void* jemalloc_arena, bool internal);
unsigned __wrap_je_arena_nthreads_get(void* jemalloc_arena, bool internal);
unsigned __wrap_je_arena_nthreads_get(void* jemalloc_arena, bool internal) {
  return __real_je_arena_nthreads_get(jemalloc_arena, internal) + leaving_parents_arena;
}

static void bind(unsigned epoch) {
  static size_t arena_mib[2], flush_mib[3], lengths[2];
  static _Atomic(bool) mibs_known;
  if (!atomic_load(&mibs_known)) { /* idempotent: two threads may both do it */
    size_t a = 2, f = 3;
    if (je_mallctlnametomib("thread.arena", arena_mib, &a) == 0 &&
        je_mallctlnametomib("thread.tcache.flush", flush_mib, &f) == 0) {
      lengths[0] = a, lengths[1] = f;
      atomic_store(&mibs_known, true);
    }
  }
  bool first = bound_epoch == 0;
  heap_arena* old = arena;
  heap_arena* fresh = heap_arena_acquire(atomic_load(&default_role), atomic_load(&generation));
  if (fresh) {
    /* What the cache holds lies on pages of the old role. */
    if (!first) je_mallctlbymib(flush_mib, lengths[1], NULL, NULL, NULL, 0);
    je_mallctlbymib(arena_mib, lengths[0], NULL, NULL, &fresh->index, sizeof fresh->index);
    pthread_setspecific(teardown_key, fresh);
    if (first) heap_settle_watch_thread();
    leaving_parents_arena = false;
  }
  if (old) heap_arena_release(old);
  arena = fresh;
  bound_epoch = epoch;
}

int heap_thread_enter(void) {
  if (entering) return 0;
  int saved = errno;
  entering = true;
  initialise();
  unsigned epoch = atomic_load(&heap_fast.epoch);
  if (bound_epoch != epoch) bind(epoch);
  if (!scope_depth)
    heap_thread_epoch = epoch; /* before the next line: a signal handler may want another purge */
  if (purge_wanted) {
    purge_wanted = false;
    heap_arenas_purge(HEAP_TACTICAL);
  }
  entering = false;
  errno = saved;
  if (!scope_depth) return 0;
  heap_role role = scopes[scope_depth <= SCOPES_MAX ? scope_depth - 1 : SCOPES_MAX - 1];
  if (role == atomic_load(&default_role)) return 0;
  unsigned now = atomic_load(&generation);
  if (scope_generation != now) {
    scope_generation = now;
    scope_arena[0] = scope_arena[1] = NULL;
  }
  if (!scope_arena[role]) {
    entering = true;
    scope_arena[role] = heap_arena_acquire(role, now);
    if (scope_arena[role]) heap_arena_release(scope_arena[role]); /* a visitor, not a thread of it */
    entering = false;
  }
  if (!scope_arena[role]) return 0;
  return MALLOCX_ARENA(scope_arena[role]->index) | MALLOCX_TCACHE_NONE;
}

void heap_purge_soon(void) {
  purge_wanted = true;
  heap_thread_epoch = SCOPED; /* takes the slow way once */
}

/* ---- settle ---- */

bool heap_settle(void) {
  heap_thread_enter();
  heap_role expected = HEAP_CONSTANT;
  if (!atomic_compare_exchange_strong(&default_role, &expected, HEAP_TACTICAL)) return false;
  heap_window_after_settle();
  heap_constants_freed_anew();
  atomic_fetch_add(&heap_fast.epoch, 1);
  heap_arenas_give_back();
  heap_policy_settled();
  return true;
}

void heap_unsettle(void) {
  heap_role expected = HEAP_TACTICAL;
  if (atomic_load(&generation) != 0 ||
      !atomic_compare_exchange_strong(&default_role, &expected, HEAP_CONSTANT))
    return;
  if (atomic_load(&tactical_scope_used))
    heap_window_without_tactical();
  else
    heap_window_everything();
  atomic_fetch_add(&heap_fast.epoch, 1);
  heap_policy_unsettled();
}

/* ---- scopes ---- */

void heap_scope_begin(heap_role role) {
  heap_thread_enter();
  if (role == HEAP_TACTICAL && !atomic_load(&tactical_scope_used)) {
    /* The window moves before any thread goes on, and again if the heap has settled meanwhile. */
    const bool constant = atomic_load(&default_role) == HEAP_CONSTANT;
    if (constant) heap_window_without_tactical();
    atomic_store(&tactical_scope_used, true);
    if (constant && atomic_load(&default_role) == HEAP_TACTICAL) heap_window_after_settle();
  }
  if (scope_depth < SCOPES_MAX) scopes[scope_depth] = (unsigned char)role;
  ++scope_depth; /* deeper ones than SCOPES_MAX act as the deepest recorded */
  heap_thread_epoch = SCOPED;
}

void heap_scope_end(void) {
  if (scope_depth && --scope_depth == 0) heap_thread_enter();
}

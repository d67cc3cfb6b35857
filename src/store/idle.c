#define _GNU_SOURCE
#include "store/idle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/single_threaded.h>

#include "store/batch.h"
#include "store/config.h"
#include "store/pass.h"
#include "store/rest.h"
#include "store/share.h"
#include "store/stop.h"
#include "store/system.h"
#include "store/when.h"

enum {
  /* A process is idle that waits for so long and whose other threads do next to nothing meanwhile. What a
   * pass costs, then and later, comes from processors at rest, or else it must have been idle for longer. */
  GRACE_NS = 150000000,
  LITTLE_CPU_NS = 5000000, /* next to nothing is this and */
  LITTLE_CPU_SHARE = 50,   /* one part of so many of the time; the waiting itself takes some */
  SLICE_MS = 10,
  SELDOM_SLICE_MS = 50,
  SIGNALLED_NS = 1000000000, /* not so seldom for so long after a signal */
  /* CPU time of the other threads in a slice that is a moment between two pieces of work. */
  MOMENT_NS = 1000000,
  /* Bytes of stack between a watch and the look whether there is one; a handler is further down. */
  FRAMES = 512,
};

static const int64_t GRACE_BUSY_NS = 2100000000;
/* While other threads work for longer than this, nobody watches. */
static const int64_t WATCHED_MOST_NS = INT64_C(60000000000);

static _Atomic(pid_t) watching_process; /* one of whose threads is in store_idle: one is enough */
static _Atomic(pid_t) watching_thread;
static _Atomic(uintptr_t) watching_frame;
static _Atomic(int64_t) idle_since, idle_cpu;
static _Atomic(int64_t) signalled_at; /* when a signal last ended a watch */

/* Whether one of the signals ends the wait. */
static bool interrupts(uint64_t signals, bool restarts) {
  for (int signal = 1; signals; ++signal, signals >>= 1) {
    struct store_action action;
    if ((signals & 1) && store_get_handler(signal, &action) && !(restarts && (action.flags & SA_RESTART)))
      return true;
  }
  return false;
}

/* The kernel keeps signals that are ignored, too, while they are blocked. */
static bool is_ignored(int signal) {
  struct store_action action;
  if (!store_get_action(signal, &action)) return false;
  return action.handler == SIG_IGN ||
         (action.handler == SIG_DFL &&
          (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT));
}

static uint64_t pending_of(uint64_t blocked) {
  uint64_t pending = 0;
  store_call(SYS_rt_sigpending, &pending, sizeof pending);
  pending &= ~blocked;
  for (int signal = 1; pending >> (signal - 1) && signal < 32; ++signal)
    if ((pending >> (signal - 1) & 1) && is_ignored(signal)) pending &= ~((uint64_t)1 << (signal - 1));
  return pending;
}

/* How long until the next look: seldom enough to leave other threads alone that work. A signal for the thread
 * waits as long: some programs stop their threads by signals, again and again. */
static int slice_of(bool seldom) {
  return seldom && !__libc_single_threaded && store_now_ns() - atomic_load(&signalled_at) > SIGNALLED_NS
             ? SELDOM_SLICE_MS
             : SLICE_MS;
}

/* What a thread waits for that works meanwhile. */
typedef struct {
  store_ready* ready;
  const void* wait;
  uint64_t blocked;       /* signals, before */
  const uint64_t* during; /* and while it waits; NULL: all */
  bool cancellable, holds, interrupted;
} watched_wait;

static bool is_ready(watched_wait* it, int milliseconds) {
  if (it->interrupted) return true;
  const store_state state = it->ready(it->wait, milliseconds, it->during);
  it->interrupted = state == STORE_INTERRUPTED;
  return state != STORE_NOT_YET;
}

static bool wait_a_little(watched_wait* it, int milliseconds) {
  if (is_ready(it, milliseconds) || !atomic_load(&store_awake)) return true;
  if (it->cancellable) pthread_testcancel();
  if (!pending_of(it->blocked)) return false;
  atomic_store(&signalled_at, store_now_ns());
  return true;
}

static int64_t cpu_of_process(void) {
  return store_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}
static int64_t cpu_of_thread(void) {
  return store_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Whether the process has done next to nothing since `idle_since`, but for `watching`: CPU time that this
 * wait took itself. If not, that is now. */
static bool is_idle(int64_t now, int64_t watching) {
  const int64_t cpu = cpu_of_process() - watching;
  const int64_t since = atomic_load(&idle_since), used = cpu - atomic_load(&idle_cpu);
  const int64_t time = now - since < GRACE_BUSY_NS ? now - since : GRACE_BUSY_NS;
  if (used <= LITTLE_CPU_NS + time / LITTLE_CPU_SHARE) return true;
  atomic_store(&idle_since, now);
  atomic_store(&idle_cpu, cpu);
  return false;
}

/* Waits until the process has been idle for long enough, for a pass that is paid for a slice; false if the
 * wait is over before, or something else is due. */
static bool wait_until_idle(watched_wait* it, int64_t at_most) {
  const int64_t cpu = cpu_of_thread();
  int64_t now = store_now_ns(), began = now, watching = 0;
  store_rest rest = {0, 0}; /* looked at first when the process is found idle */
  bool idle = false, is_moment = false, seldom = true;
  store_work work = store_due(true);
  for (;;) {
    const bool grace_is_over = now - began >= GRACE_NS;
    const bool works = !is_idle(now, watching);
    if ((work == STORE_PAID_PASS && is_moment) ||
        (!works && (now - atomic_load(&idle_since) >= GRACE_BUSY_NS ||
                    (grace_is_over && store_at_rest_since(&rest))))) {
      idle = true;
      break;
    }
    if (works || grace_is_over) began = now, rest.time = 0;
    if (!works && !rest.time) rest = store_rest_now();
    const int64_t others = cpu_of_process() - cpu_of_thread();
    seldom = work != STORE_PAID_PASS || !seldom; /* a moment between is looked for now and then */
    if (wait_a_little(it, slice_of(seldom)) || now >= at_most) break;
    is_moment = cpu_of_process() - cpu_of_thread() - others < MOMENT_NS;
    work = store_due(true);
    if (!store_is_pass(work)) break;
    now = store_now_ns();
    watching = cpu_of_thread() - cpu;
  }
  atomic_fetch_add(&idle_cpu, cpu_of_thread() - cpu); /* not work, when it is looked at next */
  return idle;
}

int64_t store_idle_since(void) {
  return atomic_load(&idle_since);
}

void store_idle_forked(void) {
  atomic_store(&watching_process, 0);
  atomic_store(&idle_since, store_now_ns());
  atomic_store(&idle_cpu, 0);
}

bool store_is_watched(void) {
  return atomic_load(&watching_process) == store_process() &&
         !(store_call(SYS_gettid) == atomic_load(&watching_thread) &&
           (uintptr_t)__builtin_frame_address(0) + FRAMES >= atomic_load(&watching_frame));
}

static bool step(const watched_wait* it, store_work work) {
  store_batch_none_yet();
  store_stop_takes(it->during ? ~*it->during : 0);
  const bool done = store_step(work);
  store_stop_takes(0);
  return done;
}

static void watch(watched_wait* it) {
  store_turn_off_if_asked();
  const int64_t at_most = store_now_ns() + WATCHED_MOST_NS;
  bool is_found_idle = false;
  store_work work;
  while ((work = store_due(true)) != STORE_NOTHING && !is_ready(it, 0) && !pending_of(it->blocked)) {
    if (work == STORE_WATCH) {
      wait_a_little(it, slice_of(store_due_later() > 0));
    } else if (store_is_pass(work) && !is_found_idle) {
      is_found_idle = wait_until_idle(it, at_most);
      if (!is_found_idle && store_now_ns() >= at_most) break;
    } else if (!step(it, work)) { /* another thread is at it */
      wait_a_little(it, SLICE_MS);
    } else {
      if (store_is_pass(work) && !store_pass_under_way()) is_found_idle = false; /* for the next one anew */
      store_batch_yield();
    }
  }
}

static bool is_first_of_several(void) {
  return !__libc_single_threaded && store_call(SYS_gettid) == getpid();
}

/* 32 and 33. */
#define LIBCS_SIGNALS ((uint64_t)3 << 31)

/* A handler of the program's that libc's call goes on after. */
static bool some_handler_restarts(void) {
  for (int signal = 1; signal <= 64; ++signal) {
    struct store_action action;
    if (!(LIBCS_SIGNALS >> (signal - 1) & 1) && store_get_handler(signal, &action) &&
        (action.flags & SA_RESTART))
      return true;
  }
  return false;
}

static bool may_watch(int flags) {
  return !is_first_of_several() ||
         !((flags & STORE_CLOSED) || ((flags & STORE_RESTARTS) && some_handler_restarts()));
}

/* A handler may have jumped out of the watch that its thread was in: then it is entered from further up. */
static bool begin_watch(void) {
  stack_t signal_stack; /* a small one, perhaps */
  if (store_call(SYS_sigaltstack, NULL, &signal_stack) == 0 && (signal_stack.ss_flags & SS_ONSTACK))
    return false;
  const bool took_over = atomic_load(&watching_process) == store_process() && !store_is_watched();
  pid_t other = took_over ? store_process() : atomic_load(&watching_process);
  if ((!took_over && other == store_process()) ||
      !atomic_compare_exchange_strong(&watching_process, &other, store_process()))
    return false;
  atomic_store(&watching_thread, (pid_t)store_call(SYS_gettid));
  atomic_store(&watching_frame, (uintptr_t)__builtin_frame_address(0));
  return true;
}

static void stop_watching(void) {
  atomic_store(&watching_thread, 0);
  atomic_store(&watching_process, 0);
}

/* The thread is cancelled. */
static void end_watch(void* wait) {
  const watched_wait* it = wait;
  stop_watching();
  if (it->holds) it->ready(it->wait, STORE_CANCELLED, NULL);
  store_restore_signals(it->blocked);
}

static void watch_to_its_end(watched_wait* it) {
  pthread_cleanup_push(end_watch, it);
  watch(it);
  pthread_cleanup_pop(0);
}

bool store_idle_blocked(store_ready* ready, const void* wait, int flags, uint64_t blocked) {
  const int saved = errno;
  if (!atomic_load(&store_awake)) { /* since: a sandbox, perhaps */
    store_restore_signals(blocked);
    return true;
  }
  const uint64_t during = blocked | LIBCS_SIGNALS;
  watched_wait it = {ready,
                     wait,
                     blocked,
                     is_first_of_several() ? &during : NULL,
                     !(flags & STORE_NOT_CANCELLED),
                     flags & STORE_HOLDS,
                     false};
  const bool watches = begin_watch();
  if (watches) watch_to_its_end(&it);
  const bool interrupted = it.interrupted || (atomic_load(&store_awake) &&
                                              interrupts(pending_of(blocked), flags & STORE_RESTARTS));
  if (watches) stop_watching();
  store_restore_signals(blocked); /* handlers run here */
  errno = interrupted ? EINTR : saved;
  return !interrupted;
}

bool store_idle(store_ready* ready, const void* wait, int flags) {
  const int saved = errno;
  const bool leaves = store_is_watched() || store_due(true) == STORE_NOTHING ||
                      ready(wait, 0, NULL) != STORE_NOT_YET || !may_watch(flags);
  errno = saved;
  if (leaves) return true;
  return store_idle_blocked(ready, wait, flags, store_block_signals());
}

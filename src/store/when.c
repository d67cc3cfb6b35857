#define _GNU_SOURCE
#include "store/when.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "heap/config.h"
#include "heap/extents.h"
#include "heap/phase.h"
#include "heap/policy.h"
#include "heap/settle.h"
#include "heap/window.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/config.h"
#include "store/direct.h"
#include "store/family.h"
#include "store/idle.h"
#include "store/later.h"
#include "store/layers.h"
#include "store/lock.h"
#include "store/pace.h"
#include "store/pass.h"
#include "store/rest.h"
#include "store/seal.h"
#include "store/share.h"
#include "store/statistics.h"
#include "store/system.h"

enum {
  MS = 1000000,
  LIVES_ON_NS = 30 * MS,    /* a child that has not called exec by then will not */
  WATCH_NS = 500 * MS,      /* how long its parent looks for that, when it waits anyway */
  QUIET_NS = 2000 * MS,     /* a copy that waits, and whose constants have not grown for so long, is sealed */
  EVENT_OVER_NS = 250 * MS, /* after a pass that was worth it, or of all, what events have freed goes back */
  REFUSED_NS = 1000 * MS,   /* before it is tried again */
  REFUSALS_MOST = 6,
  WAITING_NS = 2 * MS, /* before it is looked whether another one has published; twice as long each time */
  WAITINGS_MOST = 8,
  AHEAD_MOST = 2,           /* blocks that a parent publishes before any of its workers has mapped one */
  LOOK_SHARE = 100,         /* a fork may take 1/100 of the time to look for what came */
  FOLLOW_NS = 2000 * MS,    /* after one file how long for the next */
  NEWS_NS = 500 * MS,       /* before what others have published since is looked at */
  WAITS_NS = 1000 * MS,     /* who has waited within so long waits now and then */
  OVERDUE_NS = 2000 * MS,   /* a pass that was paid for waits no longer for a moment between */
  CALM_MOST_NS = 2000 * MS, /* how long publishing waits for a machine at rest, after a worker has lived on */
  TICK_BUSY_MS = 4,         /* while sealing */
  TICK_MS = 100,
};

/* How long a process that waits anyway looks for what another one does: a copy for what is published; a
 * parent, after its first fork, for a worker that has lived on, which that says when it first waits or
 * allocates; a worker for its parent. */
static const int64_t PUBLISHER_NS = (int64_t)30000 * MS;
/* How long a worker waits for a moment between two pieces of its work; its parent publishes first. */
static const int64_t SEAL_OVERDUE_NS = (int64_t)4000 * MS;
/* How long publishing waits for a pass, which may give back what has changed. */
static const int64_t PASS_MOST_NS = (int64_t)4000 * MS;
/* How long a process that waits waits for its next pass; in the kernel alone. */
static const int64_t SOON_NS = (int64_t)5000 * MS;
static const int64_t LATEST_NS = (int64_t)30000 * MS;
static const int64_t LONG_IDLE_NS = (int64_t)2000 * MS;

atomic_bool store_awake;

/* What was refused is tried again later; twice as long each time. Apart for sealing and passes: where not all
 * can be sealed, what is sealed gets its passes. */
typedef struct {
  _Atomic(int64_t) until; /* 0: at once */
  unsigned times;         /* under the lock */
} backoff;

static atomic_bool settled, has_forked, sealing_over;
static atomic_bool waits_for_workers; /* sealing is over as long as none of them maps */
static backoff seal_backoff, pass_backoff;
static _Atomic(int64_t) born, first_fork, last_fork; /* 0: none yet */
static _Atomic(pid_t) parent;
static _Atomic(int64_t) purge_at;              /* 0: nothing to purge */
static _Atomic(int64_t) waited_at, paid_since; /* 0: no pass is paid */
static atomic_bool was_quiet, publishing;
static _Atomic(int64_t) lived_on_since; /* when that was seen; 0: not yet */
static _Atomic(size_t) constants_seen, constants_sealed;
static _Atomic(int64_t) grown_at, publisher_since; /* 0: nobody is waited for */
static _Atomic(int64_t) news_at;      /* when it may be looked for what others have published since */
static _Atomic(int64_t) follow_until; /* a worker, what its parent had come to have when it forked */
/* Under the lock: */
static unsigned waited_for_publisher; /* times in a row */
static bool of_all;                   /* the pass that is under way */
static size_t kept;                   /* constants_ever without what this family is for; */
static size_t own_then;               /* and of constants what no file had when sealing was over */
static bool passed_then;              /* a pass was made since; */
static int64_t look_at;               /* for what came since */
static atomic_ulong after_passes;     /* it is published */
static atomic_uint published_then;    /* by the family, when sealing was over */

static size_t constants(void) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  return end - begin;
}

/* What there is, and what was given up of what a file has: it grows with what comes, there too. */
static size_t constants_ever(void) {
  return constants() + store_block_discarded();
}

/* Its parent has gone. */
static bool is_daemon(void) {
  return heap_generation() > 0 && getppid() != atomic_load(&parent);
}

/* Whether this process publishes for its workers, who have its constants by the fork. A daemon, whose parent
 * loaded them, is the first of its workers' family. */
static bool is_first(void) {
  return heap_generation() == 0 || (atomic_load(&has_forked) && is_daemon());
}

/* Whether it has workers: what comes once all is sealed is published for those to come alone (begin_anew). */
static bool is_parent(void) {
  return is_first() && atomic_load(&has_forked) && store_family_has_lived_on();
}

/* Whether a launcher holds the files, which no other user can open. A daemon's may end. */
static bool is_held(void) {
  return store_family_is_held() && !is_daemon();
}

static void seal_more(void) {
  if (atomic_load(&sealing_over) && (!is_parent() || is_held())) atomic_store(&sealing_over, false);
}

static bool has_company(void) {
  return store_family_copies() > 1 || (store_config.joined && store_family_exists());
}

static bool is_young_copy(void) {
  return heap_generation() == 0 && !atomic_load(&settled) && has_company() && heap_config.settle_auto &&
         constants() >= store_config.minimum;
}

/* Settling is found while a process allocates. A copy that has built its tables and waits does not. */
static bool copy_is_quiet(int64_t now, bool idle) {
  if (!is_young_copy()) return false;
  const size_t size = constants_ever();
  if (atomic_exchange(&constants_seen, size) != size) atomic_store(&grown_at, now);
  if (!idle || now - atomic_load(&grown_at) < QUIET_NS) return atomic_load(&was_quiet);
  if (size >= atomic_load(&constants_sealed) + store_config.minimum)
    seal_more(); /* it has gone on to build */
  atomic_store(&was_quiet, true);
  return true;
}

/* A worker shares with its parent by the fork as long as it writes nothing: what it works at is not
 * interrupted, if it waits now and then; not for ever, as it may never find itself waiting. */
static bool works_on(int64_t now) {
  const int64_t waited = atomic_load(&waited_at), since = atomic_load(&born);
  return now - (waited > since ? waited : since) >= WAITS_NS || now - since >= SEAL_OVERDUE_NS;
}

/* Workers that were just forked begin to work, and would wait for processors that publishing takes; and what
 * is published in the midst of work may hold what that has changed for a while. Once begun it goes on: it is
 * no rest itself. */
static bool is_time_to_publish(int64_t now, bool idle) {
  if (!store_family_has_lived_on()) return false;
  int64_t since = 0;
  if (atomic_compare_exchange_strong(&lived_on_since, &since, now)) since = now;
  if (store_statistics.passes < atomic_load(&after_passes) && now - since < PASS_MOST_NS) return false;
  if (!atomic_load(&publishing) && (now - since >= CALM_MOST_NS || (idle && store_machine_is_at_rest())))
    atomic_store(&publishing, true);
  return atomic_load(&publishing);
}

static bool seal_is_wanted(int64_t now, bool idle) {
  if (atomic_load(&waits_for_workers) && store_family_has_mapped()) {
    atomic_store(&waits_for_workers, false);
    atomic_store(&sealing_over, false);
  }
  const bool quiet = copy_is_quiet(now, idle);
  if (atomic_load(&sealing_over) && now >= atomic_load(&news_at) &&
      store_family_published() != atomic_load(&published_then) && !is_parent())
    seal_more(); /* others have */
  if (constants() < store_config.minimum) return false;
  const bool first = is_first(), lives_on = !first && now - atomic_load(&born) >= LIVES_ON_NS;
  if (lives_on && !store_family_has_lived_on() && getppid() == atomic_load(&parent))
    store_family_lives_on(); /* a daemon is nobody's worker */
  if (atomic_load(&sealing_over)) return false;
  if (lives_on) return idle || works_on(now);
  if (atomic_load(&has_forked) && (first ? is_time_to_publish(now, idle) : store_family_has_lived_on()))
    return true;
  return (heap_generation() == 0 && atomic_load(&settled) && has_company()) ||
         quiet; /* its children may all have called exec */
}

/* A process that waits now and then is given what it has earned in such a moment, not in the middle of its
 * work, unless none comes for too long. */
static store_work pass_due(int64_t now, bool idle) {
  if (!store_config.reshare || !store_statistics.sealed) return STORE_NOTHING;
  const bool under_way = store_pass_under_way();
  if ((under_way && atomic_load(&paid_since)) || store_pace_paid(now)) {
    int64_t since = 0;
    if (atomic_compare_exchange_strong(&paid_since, &since, now)) since = now;
    return idle || now - atomic_load(&waited_at) >= WAITS_NS || now - since >= OVERDUE_NS ? STORE_PAID_PASS
                                                                                          : STORE_NOTHING;
  }
  if (!under_way) atomic_store(&paid_since, 0);
  return idle && (under_way || store_pace_idle(now)) ? STORE_IDLE_PASS : STORE_NOTHING;
}

/* A process that is about to wait may do so for ever: the next pass is waited for first. */
static bool pass_comes_soon(int64_t now) {
  if (!store_config.reshare || !store_statistics.sealed) return false;
  const int64_t refused = atomic_load(&pass_backoff.until), next = store_pace_next();
  return (refused > next ? refused : next) < now + SOON_NS;
}

/* After a fork, when it will show whether the child lives on, and the parent publishes; while a copy may
 * turn out to be quiet, or another one publishes; before a pass. */
static bool something_may_come(int64_t now) {
  if (pass_comes_soon(now)) return true;
  if (now < atomic_load(&follow_until) && constants() >= store_config.minimum) return true;
  if (atomic_load(&waits_for_workers) && now - atomic_load(&last_fork) < PUBLISHER_NS) return true;
  if (atomic_load(&sealing_over)) return false;
  const int64_t since = atomic_load(&publisher_since), lived_on = atomic_load(&lived_on_since);
  if ((since && now - since < PUBLISHER_NS) || (lived_on && now - lived_on < PUBLISHER_NS)) return true;
  if (is_young_copy() && !atomic_load(&was_quiet)) return true;
  if (constants() < store_config.minimum) return false;
  return (atomic_load(&has_forked) &&
          (now - atomic_load(&first_fork) < PUBLISHER_NS || now - atomic_load(&last_fork) < WATCH_NS)) ||
         (heap_generation() > 0 && now - atomic_load(&born) < PUBLISHER_NS);
}

/* Jemalloc gives back what events have freed while it is called; a process that waits hardly calls it. */
static bool purge_is_wanted(int64_t now) {
  const int64_t at = atomic_load(&purge_at);
  return at && now >= at;
}

store_work store_due(bool idle) {
  if (!atomic_load_explicit(&store_awake, memory_order_relaxed)) return STORE_NOTHING;
  const int64_t now = store_now_ns();
  if (getpid() != store_process()) return STORE_NOTHING;
  if (idle) atomic_store_explicit(&waited_at, now, memory_order_relaxed);
  if (now >= atomic_load(&seal_backoff.until) && seal_is_wanted(now, idle)) return STORE_SEAL;
  const store_work pass = now < atomic_load(&pass_backoff.until) ? STORE_NOTHING : pass_due(now, idle);
  if (pass != STORE_NOTHING) return pass;
  if (idle && purge_is_wanted(now)) return STORE_PURGE;
  return idle && something_may_come(now) ? STORE_WATCH : STORE_NOTHING;
}

int store_due_later(void) {
  const store_work work = store_due(true);
  if (work != STORE_NOTHING && work != STORE_IDLE_PASS &&
      (work != STORE_WATCH || !atomic_load(&sealing_over)))
    return 0;
  if (!store_config.reshare || !store_statistics.sealed || getpid() != store_process()) return 0;
  const int64_t now = store_now_ns(), pass = store_pace_next(), refused = atomic_load(&pass_backoff.until);
  const int64_t next = pass > refused ? pass : refused;
  if (next > now + LATEST_NS) return 0;
  if (next < now + STORE_NOT_YET_IDLE_MS * (int64_t)MS) return STORE_NOT_YET_IDLE_MS;
  return (int)((next - now) / MS);
}

static void not_for_a_while(backoff* of) {
  atomic_store(&of->until, store_now_ns() + ((int64_t)REFUSED_NS << of->times));
  if (of->times < REFUSALS_MOST) ++of->times;
}

static bool has_come_back(void) {
  if (!atomic_exchange(&after_passes, 0)) return false;
  return store_later_own() < own_then + store_config.minimum;
}

/* Workers have the constants by the fork, and keep those pages as long as they have not mapped the store's: a
 * parent whose workers cannot map (several threads in a sandbox, another user) would hold all of it twice.
 * Of copies the others map what one publishes. */
static bool is_ahead_of_workers(void) {
  const bool alone = !store_config.joined && store_family_copies() <= STORE_COPIES_OF_ONE;
  return is_first() && alone && atomic_load(&has_forked) && store_family_has_lived_on() &&
         !store_family_has_mapped() && store_family_published() >= AHEAD_MOST;
}

static void seal_step(void) {
  /* A worker's constants are its parent's, who shares them by the fork already: if the parent does not
   * publish them and leaves its own, a file would only be one more copy. */
  const bool first = is_first();
  const unsigned published = store_family_published();
  const bool nothing_came = first && has_come_back();
  const bool ahead = is_ahead_of_workers();
  store_progress progress = nothing_came ? STORE_DONE : store_seal_some(first && !ahead);
  if (ahead && progress != STORE_MORE) {
    progress = STORE_DONE;
    atomic_store(&waits_for_workers, true);
  }
  if (progress != STORE_WAITING || !first)
    atomic_store(&publisher_since, 0);
  else if (!atomic_load(&publisher_since))
    atomic_store(&publisher_since, store_now_ns());
  switch (progress) {
    case STORE_DONE:
      atomic_store(&sealing_over, true);
      store_later_for_workers(false);
      if (atomic_load(&follow_until) && published != atomic_load(&published_then))
        atomic_store(&follow_until, store_now_ns() + FOLLOW_NS);
      atomic_store(&published_then, published);
      atomic_store(&news_at, store_now_ns() + NEWS_NS);
      atomic_store(&was_quiet, false);
      atomic_store(&constants_sealed, constants_ever());
      if (first && atomic_load(&has_forked) && !nothing_came)
        own_then = ahead ? 0 : store_later_own(), passed_then = false;
      store_pace_sealed();
      heap_tick_every(TICK_MS);
      store_statistics_write(store_config.statistics, true);
      break;
    case STORE_MORE:
      seal_backoff.times = waited_for_publisher = 0;
      atomic_store(&publishing, true);
      store_pace_sealed();
      heap_tick_every(TICK_BUSY_MS);
      break;
    case STORE_WAITING: /* a publisher may never come */
      atomic_store(&seal_backoff.until, store_now_ns() + ((int64_t)WAITING_NS << waited_for_publisher));
      if (waited_for_publisher < WAITINGS_MOST)
        ++waited_for_publisher;
      else
        heap_tick_every(TICK_MS);
      break;
    case STORE_REFUSED:
      not_for_a_while(&seal_backoff);
      heap_tick_every(TICK_MS);
      store_statistics_write(store_config.statistics, false);
      break;
  }
}

static void pass_step(bool is_paid) {
  if (!store_pass_under_way()) {
    store_pace_pass_begins();
    /* Pages that are written all the time, and are given up, have their turn in a long rest. */
    of_all = !is_paid && store_now_ns() - store_idle_since() >= LONG_IDLE_NS;
  }
  const store_pass* pass = store_pass_some(of_all, is_paid ? STORE_SHORT_BATCH_NS : STORE_BATCH_NS);
  if (pass->refused) not_for_a_while(&pass_backoff);
  if (pass->done || pass->refused) atomic_store(&paid_since, 0);
  if (pass->done) {
    pass_backoff.times = 0;
    if (!passed_then && is_parent()) {
      const size_t own = store_later_own();
      if (own < own_then) own_then = own;
    }
    passed_then = true;
    if (store_pace_passed(pass) || of_all) atomic_store(&purge_at, store_now_ns() + EVENT_OVER_NS);
  }
  if (pass->done || pass->refused) store_statistics_write(store_config.statistics, false);
}

bool store_step(store_work work) {
  if (work == STORE_PURGE) {
    atomic_store(&purge_at, 0);
    heap_purge_soon();
    return true;
  }
  if (!store_try_lock()) return false;
  const int saved = errno;
  const int64_t began = store_now_ns();
  if (work == STORE_SEAL) seal_step();
  if (store_is_pass(work)) pass_step(work == STORE_PAID_PASS);
  store_paused_since(began);
  errno = saved;
  store_unlock();
  return true;
}

/* ---- the heap's turning points ---- */

/* A process that a launcher started by itself, not as one of the copies that it forked. */
static void join_launcher(void) {
  if (!store_config.holder || atomic_load(&store_awake) || constants() < store_config.minimum ||
      store_config.mode != STORE_AUTO || getpid() != store_process() || !store_try_lock())
    return;
  if (store_family_make(1) && store_family_is_held()) {
    store_family_join();
    atomic_store(&store_awake, true);
  } else {
    store_statistics_write(store_config.statistics, false); /* that say why */
  }
  store_unlock();
}

static void on_settled(void) {
  atomic_store(&settled, true);
  seal_more(); /* what came after a quiet time */
  join_launcher();
  if (store_due(false) == STORE_SEAL) store_step(STORE_SEAL);
}

static void on_unsettled(void) {
  atomic_store(&settled, false);
  seal_more(); /* it will come */
}

static void on_tick(void) {
  store_turn_off_if_asked();
  if (store_config.joined) join_launcher();
  const store_work work = store_due(false);
  if (work != STORE_NOTHING) store_step(work);
}

static void grown(heap_role role, void* begin, size_t size) {
  if (role == HEAP_CONSTANT) store_direct_grown((uintptr_t)begin, size);
}

static bool may_purge(heap_role role, void* begin, size_t size) {
  return role != HEAP_CONSTANT || store_discard((uintptr_t)begin, size);
}

/* ---- fork ---- */

/* A program may load more for its next workers, and change what it has. */
static size_t came_since_sealing(void) {
  if (!is_parent() || !atomic_load(&sealing_over) || store_now_ns() < look_at) return 0;
  const int64_t began = store_now_ns();
  const size_t own = store_later_own();
  look_at = began + (store_now_ns() - began) * LOOK_SHARE;
  return own < own_then + store_config.minimum ? 0 : own - own_then;
}

/* What is to be published from here on is for those who are forked from here on: the others may have become
 * another user's. */
static bool begin_anew(size_t came) {
  const bool left = is_daemon() && !atomic_load(&has_forked) && !store_family_is_own();
  if (!store_family_exists() || (!came && !left)) return true;
  if ((left || !is_held()) && !store_seal_renew_family()) return false;
  atomic_store(&sealing_over, false);
  atomic_store(&publishing, false);
  atomic_store(&lived_on_since, 0);
  store_later_for_workers(came > 0);
  atomic_store(&after_passes,
               came && store_config.reshare ? store_statistics.passes + 1 + store_pass_under_way() : 0);
  atomic_store(&first_fork, 0);
  kept = constants_ever() - (came ? came : constants());
  atomic_store(&waits_for_workers, false);
  return true;
}

/* Twice as many files as they need, for layers; if something came, one more for each block that there is. */
static unsigned blocks_to_come(void) {
  const size_t size = constants(), came = constants_ever() - kept;
  return (unsigned)(((came < size ? came : size) + (kept ? size / 2 : 0)) / STORE_BLOCK + 3);
}

static void before_fork(void) {
  const int saved = errno;
  store_lock_to_fork();
  store_direct_end();
  if (store_config.mode == STORE_AUTO && (heap_next_fork_is_copy() || constants() >= store_config.minimum)) {
    if (begin_anew(came_since_sealing()) &&
        store_family_make(heap_next_fork_is_copy() ? STORE_FILES : blocks_to_come()))
      atomic_store(&store_awake, true);
    else
      store_statistics_write(store_config.statistics, false); /* that say why */
  }
  errno = saved;
}

static void in_parent(void) {
  if (!heap_next_fork_is_copy()) {
    const int64_t now = store_now_ns();
    if (!atomic_load(&first_fork)) atomic_store(&first_fork, now);
    atomic_store(&last_fork, now);
    atomic_store(&has_forked, true);
    store_layers_forked(false);
  }
  store_unlock_forked(false);
}

static void in_child(void) {
  const int64_t now = store_now_ns();
  atomic_store(&parent, store_process()); /* it may have gone by now */
  store_process_is_forked();
  if (heap_generation() == 0) store_family_join();
  atomic_store(&has_forked, false);
  if (atomic_exchange(&waits_for_workers, false)) atomic_store(&sealing_over, false);
  atomic_store(&first_fork, 0);
  atomic_store(&publishing, false);
  atomic_store(&lived_on_since, 0);
  atomic_store(&after_passes, 0);
  atomic_store(&born, now);
  atomic_store(&published_then, store_family_published());
  atomic_store(&follow_until, atomic_load(&sealing_over) ? 0 : now + PUBLISHER_NS);
  atomic_store(&seal_backoff.until, 0);
  atomic_store(&pass_backoff.until, 0);
  store_pace_begin(now);
  store_rest_forked();
  store_idle_forked();
  atomic_store(&purge_at, 0);
  atomic_store(&waited_at, 0);
  atomic_store(&paid_since, 0);
  atomic_store(&publisher_since, 0);
  seal_backoff.times = pass_backoff.times = waited_for_publisher = 0;
  store_unlock_forked(true);
}

static void at_exit(void) {
  if (!atomic_load(&store_awake) || getpid() != store_process() || !store_lock_in_malloc()) return;
  store_statistics_write(store_config.statistics, true);
  store_unlock();
}

__attribute__((constructor)) static void start(void) {
  static heap_policy policy = {.settled = on_settled,
                               .unsettled = on_unsettled,
                               .before_fork = before_fork,
                               .tick = on_tick,
                               .grown = grown,
                               .may_purge = may_purge};
  store_config.is_known = true;
  if (getauxval(AT_SECURE)) return;
  store_config_read();
  if (store_config.mode == STORE_OFF) return;
  heap_thread_enter(); /* so that the handlers below come after the heap's */
  store_process_is_forked();
  store_pace_begin(store_now_ns());
  heap_policy_register(&policy);
  if (store_config.joined) heap_arenas_keep_layout();
  pthread_atfork(NULL, in_parent, in_child);
  atexit(at_exit);
}

#define _GNU_SOURCE
#include "store/batch.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "heap/window.h"
#include "store/pages.h"
#include "store/statistics.h"
#include "store/stop.h"
#include "store/survey.h"
#include "store/system.h"

#ifndef PIDFD_SELF_THREAD
#define PIDFD_SELF_THREAD -10000 /* Linux 6.15; other kernels know no such descriptor */
#endif

enum {
  RUNS = 128,                       /* dropped in one call, */
  RUNS_PAGES = 1024,                /* which takes a millisecond at most */
  MAPS_MARGIN = 4096,               /* mappings; one batch makes fewer */
  SPLITS_MOST = 8192,               /* mappings that purging may cost */
  ADDRESS_SPACE_MARGIN = 256 << 20, /* bytes */
  LEAST_SHARE = 2,                  /* of its time a batch lasts at least, that something be done */
};

static store_survey survey;
static unsigned splits;
static bool stopped;
static atomic_bool was_made; /* since store_batch_none_yet() */
static int64_t began, longest, over_at;

static struct iovec drops[RUNS];
static unsigned drop_count;
static size_t drop_size; /* bytes */
static bool one_by_one;  /* the kernel knows no other way: before Linux 6.13 for this advice */

bool store_batch_over(void) {
  return store_now_ns() >= over_at;
}

static unsigned maps_allowed(void) {
  static unsigned allowed;
  if (!allowed) {
    char text[16];
    if (store_read_text("/proc/sys/vm/max_map_count", text, sizeof text)) allowed = (unsigned)atoi(text);
  }
  return allowed;
}

bool store_batch_may_split(void) {
  return splits++ < SPLITS_MOST;
}

/* Whatever it took to come here. */
static void take_time(void) {
  const int64_t least = store_now_ns() + longest / LEAST_SHARE;
  if (over_at < least) over_at = least;
}

bool store_batch_may_map(void) {
  const bool is_counted = survey.maps != 0;
  const unsigned allowed = maps_allowed(), maps = store_survey_count_maps(&survey);
  if (!is_counted) take_time();
  if (maps > allowed / 4 * 3 || maps + MAPS_MARGIN > allowed) return store_refuse(SAMEPAGE_STORE_MAP_COUNT);
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      survey.address_space + (end - begin) + ADDRESS_SPACE_MARGIN > limit.rlim_cur)
    return store_refuse(SAMEPAGE_STORE_ADDRESS_SPACE);
  return true;
}

/* Another process that was made by clone(2) with CLONE_VM. The kernel tells a process of one thread whether
 * its memory is its own (check_unshare_flags); of several threads it tells nothing. */
static bool is_shared(void) {
  return survey.threads == 1 && !survey.filtered && store_call(SYS_unshare, CLONE_VM) != 0 && errno == EINVAL;
}

static bool is_undisturbed(void) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  if (survey.pinned) return store_refuse(SAMEPAGE_STORE_PINNED);
  if (survey.traced) return store_refuse(SAMEPAGE_STORE_TRACED);
  if (is_shared()) return store_refuse(SAMEPAGE_STORE_SHARED);
  if (survey.threads > 1) {
    /* A sandbox might kill for a call that stopping needs, which finds threads by their numbers. */
    if (!survey.filtered && !survey.foreign) stopped = store_stop_others();
    if (!stopped) return store_refuse(SAMEPAGE_STORE_THREADS);
    /* What they did until then. */
    if (!store_survey_process(&survey)) return store_refuse(SAMEPAGE_STORE_PAGEMAP);
    if (survey.pinned) return store_refuse(SAMEPAGE_STORE_PINNED);
  }
  if (!store_survey_maps(&survey, begin, end)) return store_refuse(SAMEPAGE_STORE_PAGEMAP);
  if (survey.pinned) return store_refuse(SAMEPAGE_STORE_PINNED);
  if (splits > SPLITS_MOST / 2 && store_survey_count_maps(&survey) < maps_allowed() / 4) splits = 0;
  if (survey.locked) return store_refuse(SAMEPAGE_STORE_LOCKED);
  if (survey.async_io) return store_refuse(SAMEPAGE_STORE_ASYNC_IO);
  return true;
}

bool store_batch_begin(int64_t longest_ns) {
  began = store_now_ns();
  stopped = false;
  if (!store_survey_process(&survey))
    store_refuse(SAMEPAGE_STORE_PAGEMAP);
  else if (is_undisturbed()) {
    longest = longest_ns;
    over_at = began + longest;
    was_made = true;
    take_time();
    return true;
  }
  store_batch_end();
  return false;
}

/* What it has done when it fails half-way may be done again. */
static bool drop_together(void) {
  const long done = store_call(SYS_process_madvise, PIDFD_SELF_THREAD, drops, drop_count, MADV_DONTNEED, 0);
  if (done < 0) one_by_one = true;
  return done == (long)drop_size;
}

void store_batch_drop_now(void) {
  if (drop_count && (drop_count == 1 || !drop_together()))
    for (unsigned i = 0; i < drop_count; ++i)
      store_call(SYS_madvise, drops[i].iov_base, drops[i].iov_len, MADV_DONTNEED);
  drop_count = 0;
  drop_size = 0;
}

void store_batch_drop(uintptr_t address, size_t size) {
  drops[drop_count++] = (struct iovec){(void*)address, size};
  drop_size += size;
  if (one_by_one || survey.filtered || drop_count == RUNS || drop_size >= (size_t)RUNS_PAGES * STORE_PAGE)
    store_batch_drop_now();
}

void store_batch_end(void) {
  store_batch_drop_now();
  if (stopped) store_resume_others();
  stopped = false;
  store_paused_since(began);
}

void store_batch_none_yet(void) {
  was_made = false;
}

/* What a sandbox might kill for. A thread with a deadline would lose the rest of its time. */
void store_batch_yield(void) {
  if (was_made && !survey.filtered && store_call(SYS_sched_getscheduler, 0) == SCHED_OTHER)
    store_call(SYS_sched_yield);
}

enum { PLAIN = 1, OF_STORE = 2 };

static bool find_stretch(uintptr_t begin, uintptr_t end, int wanted, uintptr_t* first, uintptr_t* last) {
  unsigned low = 0, high = survey.stretch_count; /* the first that ends behind `begin` */
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if (survey.stretches[middle].end <= begin)
      low = middle + 1;
    else
      high = middle;
  }
  while (low < survey.stretch_count && !(wanted & (survey.stretches[low].of_store ? OF_STORE : PLAIN))) ++low;
  if (begin >= end || low == survey.stretch_count || survey.stretches[low].begin >= end) return false;
  *first = survey.stretches[low].begin > begin ? survey.stretches[low].begin : begin;
  *last = survey.stretches[low].end < end ? survey.stretches[low].end : end;
  return true;
}

bool store_batch_usable(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last) {
  if (!find_stretch(begin, end, PLAIN | OF_STORE, first, last)) return false;
  uintptr_t next, to;
  while (find_stretch(*last, end, PLAIN | OF_STORE, &next, &to) && next == *last) *last = to;
  return true;
}

bool store_batch_plain(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last) {
  return find_stretch(begin, end, PLAIN, first, last);
}

bool store_batch_of_store(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last) {
  return find_stretch(begin, end, OF_STORE, first, last);
}

#define _GNU_SOURCE
#include "store/share.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "heap/phase.h"
#include "samepage/samepage.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/config.h"
#include "store/direct.h"
#include "store/exempt.h"
#include "store/family.h"
#include "store/layers.h"
#include "store/lock.h"
#include "store/pace.h"
#include "store/pass.h"
#include "store/prctl.h"
#include "store/publish.h"
#include "store/seal.h"
#include "store/statistics.h"
#include "store/stop.h"
#include "store/survey.h"
#include "store/system.h"
#include "store/when.h"

enum {
  SHORT_PURGE = 16,         /* pages; fewer are not worth two more mappings */
  PATIENCE_NS = 2000000000, /* with others that publish */
  LONGEST_S = 60,           /* of a seal: somebody in the family takes the work away again and again */
  TRIES = 8,                /* where a thread did not stop in time */
  NAP_NS = 1000000,
  UNSEAL_WAIT_NS = 1000000000, /* before it is tried again; twice as long each time */
};

static pid_t process;

/* A file has asked for it, and not all could be undone so far. */
static struct unsealing {
  bool asked;
  int64_t next, wait; /* when, store_now_ns(); and how long the next time */
} unsealing;

pid_t store_process(void) {
  return process;
}

void store_process_is_forked(void) {
  const size_t sealed = store_statistics.sealed;
  process = getpid();
  store_stop_takes(0);
  store_statistics = (samepage_store_stats){.sealed = sealed};
  store_seal_forked();
  store_pass_forked();
  store_prctl_forked();
  store_layers_forked(true);
}

/* ---- what malloc gives up ---- */

/* The part of [begin, end) that lies in a block: pages; false if there is none. */
static bool part_of(const store_block* block, uintptr_t begin, uintptr_t end, unsigned* from, unsigned* to) {
  if (block->address >= end || block->address + STORE_BLOCK <= begin) return false;
  *from = block->address > begin ? 0 : (unsigned)((begin - block->address) / STORE_PAGE);
  *to = end - block->address > STORE_BLOCK ? STORE_PAGES : (unsigned)((end - block->address) / STORE_PAGE);
  return true;
}

/* Of all blocks, what of them is mapped in [begin, end). */
static bool discard_range(uintptr_t begin, uintptr_t end) {
  unsigned from, to;
  bool done = true;
  for (uintptr_t next = begin, last; done && store_exempt_skip(next, end, &next, &last); next = last)
    for (int file = 0; done && file < store_blocks_end; ++file)
      if (part_of(&store_blocks[file], next, last, &from, &to)) done = store_block_discard(file, from, to);
  return done;
}

bool store_discard(uintptr_t begin, size_t size) {
  if (!store_statistics.sealed && !store_direct_holds()) return true;
  const uintptr_t end = begin + size;
  unsigned from, to;
  bool mapped = false, done = true;
  /* A child of vfork or of a bare clone leaves its parent's pages alone. */
  if (getpid() != process || !store_lock_in_malloc()) return false;
  for (int file = 0; file < store_blocks_end; ++file)
    if (part_of(&store_blocks[file], begin, end, &from, &to) &&
        store_pages_any(&store_blocks[file].mapped, from, to)) {
      mapped = true;
      if (to - from < SHORT_PURGE) done = false;
    }
  /* All or nothing: a block's layers lie in what is mapped anew with it. */
  if (mapped && done) done = store_batch_may_split();
  if (done) done = store_direct_discard(begin, size) && discard_range(begin, end);
  store_unlock();
  return done;
}

static void discard_mapping(const store_mapping* it, void* done) {
  const int plain = PROT_READ | PROT_WRITE;
  if (!discard_range(it->begin, it->end) ||
      (it->protection != plain && mprotect((void*)it->begin, it->end - it->begin, it->protection)))
    *(bool*)done = false;
}

static bool any_is_mapped(uintptr_t begin, uintptr_t end) {
  unsigned from, to;
  for (int file = 0; file < store_blocks_end; ++file)
    if (part_of(&store_blocks[file], begin, end, &from, &to) &&
        store_pages_any(&store_blocks[file].mapped, from, to))
      return true;
  return false;
}

/* What the program has mapped there itself stays its own, and what it has protected is. Without /proc, and in
 * a sandbox, all is as malloc's. */
static bool discard_mappings(uintptr_t begin, uintptr_t end) {
  bool done = true;
  if (!any_is_mapped(begin, end)) return true;
  if (store_config.mode == STORE_OFF || !store_survey_files(begin, end, false, discard_mapping, &done))
    return discard_range(begin, end);
  return done;
}

bool store_give_up(uintptr_t begin, size_t size) {
  if (!store_statistics.sealed && !store_direct_holds()) return true;
  if (getpid() != process || !store_lock()) return false;
  const bool done = store_direct_discard(begin, size) && discard_mappings(begin, begin + size);
  store_unlock();
  return done;
}

/* ---- what the program has rules of its own for ---- */

static void nap(void) {
  const struct timespec time = {.tv_nsec = NAP_NS};
  store_call(SYS_nanosleep, &time, NULL);
}

/* In one batch. False if it was refused; `*done`: no more can be made so. */
static bool make_plain_some(uintptr_t begin, uintptr_t end, bool* done) {
  unsigned from, to;
  *done = true;
  for (int file = 0; *done && file < store_blocks_end; ++file)
    if (part_of(&store_blocks[file], begin, end, &from, &to) &&
        store_pages_any(&store_blocks[file].mapped, from, to) &&
        !store_block_unmap_some(file, from, to, done))
      return *done = false;
  return true;
}

static void share_no_more(void) {
  unsealing = (struct unsealing){.asked = false};
  store_config.mode = STORE_OFF;
  atomic_store(&store_awake, false);
}

/* To the file as well: later it may not be possible. */
static void count(samepage_store_reason why, unsigned long more) {
  store_statistics.reasons[why] += more;
  store_statistics_write(store_config.statistics, true);
}

bool store_share_no_more(samepage_store_reason why) {
  const bool locked = store_lock(); /* after a step of another thread */
  const bool shared = store_config.mode != STORE_OFF;
  if (locked && shared) store_direct_end(), count(why, 1);
  share_no_more();
  if (locked) store_unlock();
  return locked && shared;
}

void store_share_again(samepage_store_reason why, store_mode mode, bool awake) {
  const bool locked = store_lock();
  store_config.mode = mode;
  atomic_store(&store_awake, awake);
  if (locked) count(why, -1UL), store_unlock();
}

bool store_exempt(uintptr_t begin, uintptr_t end) {
  uintptr_t first, last;
  heap_range_bounds(HEAP_CONSTANT, &first, &last);
  if (end > last) end = last;
  if (begin >= end) return true;
  if (store_config.is_known && (store_config.mode == STORE_OFF || getpid() != process))
    return !any_is_mapped(begin, end);
  bool done = false, plain = false;
  for (int tries = TRIES; !done && tries;) {
    if (!store_lock()) return false;
    store_direct_end();
    if (!make_plain_some(begin, end, &done)) --tries;
    plain = done && !any_is_mapped(begin, end); /* else the program has protected it: it stays as it is */
    if (plain && !store_exempt_add(begin, end)) count(SAMEPAGE_STORE_RULES, 1), share_no_more();
    store_unlock();
    if (!done) nap();
  }
  return plain;
}

/* ---- on request ---- */

static bool make_family(void) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  if (end == begin) return store_refuse(SAMEPAGE_STORE_SMALL);
  return store_family_make((unsigned)((end - begin) / STORE_BLOCK + 3));
}

static store_progress seal_locked(void) {
  store_lock();
  store_progress progress = STORE_REFUSED;
  if (store_config.mode != STORE_OFF && getpid() == process && make_family()) {
    if (store_config.mode == STORE_AUTO) atomic_store(&store_awake, true);
    progress = store_seal_some(true);
  }
  store_unlock();
  return progress;
}

static int finish(bool done) {
  store_lock();
  store_statistics_write(store_config.statistics, true);
  store_unlock();
  return done ? SAMEPAGE_OK : SAMEPAGE_NOTHING_DONE;
}

static bool is_off(void) {
  if (store_config.mode != STORE_OFF) return false;
  store_refuse(SAMEPAGE_STORE_OFF);
  return true;
}

int samepage_allocate_in_store(void) {
  if (is_off()) return finish(false);
  store_lock();
  const bool good = getpid() == process && store_direct_begin();
  if (good && store_config.mode == STORE_AUTO) atomic_store(&store_awake, true);
  store_unlock();
  return good ? SAMEPAGE_OK : SAMEPAGE_NOTHING_DONE;
}

int samepage_seal(void) {
  if (is_off()) return finish(false);
  const int saved = errno;
  heap_settle();
  heap_thread_enter(); /* moves on, so that free pages are purged and not published */
  const int64_t until = store_now_ns() + PATIENCE_NS;
  store_progress progress;
  int tries = TRIES;
  const int64_t latest = store_now_ns() + LONGEST_S * INT64_C(1000000000);
  while (((progress = seal_locked()) == STORE_MORE && store_now_ns() < latest) ||
         (progress == STORE_WAITING && store_now_ns() < until) || (progress == STORE_REFUSED && --tries))
    if (progress != STORE_MORE) nap();
  if (progress == STORE_WAITING) store_refuse(SAMEPAGE_STORE_BUSY);
  const int result = finish(progress == STORE_DONE);
  errno = saved;
  return result;
}

int samepage_reshare(void) {
  if (is_off()) return finish(false);
  const int saved = errno;
  bool done = false, refused = false;
  for (int tries = TRIES; !done && tries; tries -= refused) {
    store_lock();
    if (store_config.mode != STORE_OFF && getpid() == process) {
      if (!store_pass_under_way()) store_pace_pass_begins();
      const store_pass* pass = store_pass_some(true, STORE_BATCH_NS);
      done = pass->done, refused = pass->refused;
    } else {
      refused = true;
    }
    store_unlock();
  }
  const int result = finish(done);
  errno = saved;
  return result;
}

static bool unseal_block(int file) {
  if (!store_blocks[file].view) return true;
  for (bool done = false; !done;)
    if (!store_block_unmap_some(file, 0, STORE_PAGES, &done)) return false;
  if (store_pages_any(&store_blocks[file].mapped, 0, STORE_PAGES))
    return false; /* what the program has protected */
  store_block_drop(file);
  store_file_left(file);
  return true;
}

bool store_turn_off(void) {
  bool good = true;
  if (!store_lock()) return false;
  const bool was_on = store_config.mode != STORE_OFF;
  share_no_more();
  if (getpid() == process) store_direct_end(), store_layers_give_up(), store_publish_give_up();
  for (int file = 0, tries = TRIES; file < store_blocks_end; ++file) {
    bool undone;
    while (!(undone = unseal_block(file)) && --tries > 0) nap();
    good = good && undone;
  }
  count(SAMEPAGE_STORE_OFF, was_on);
  store_unlock();
  return good;
}

void store_turn_off_if_asked(void) {
  if (getpid() != process || !store_config.off_file) return;
  struct unsealing then = unsealing;
  if (then.asked ? store_now_ns() < then.next : store_config.mode == STORE_OFF) return;
  if (access(store_config.off_file, F_OK)) return;
  then.asked = !store_turn_off();
  then.wait = then.wait ? 2 * then.wait : UNSEAL_WAIT_NS;
  then.next = store_now_ns() + then.wait;
  unsealing = then;
}

int samepage_unseal(void) {
  const int saved = errno;
  const bool good = store_turn_off();
  errno = saved;
  return finish(good);
}

int samepage_store_statistics(samepage_store_stats* stats) {
  if (!stats) return SAMEPAGE_INVALID;
  *stats = store_statistics;
  return SAMEPAGE_OK;
}

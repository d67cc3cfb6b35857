#define _GNU_SOURCE
#include "store/seal.h"

#include <stdint.h>
#include <string.h>

#include "heap/phase.h"
#include "heap/window.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/cgroup.h"
#include "store/direct.h"
#include "store/family.h"
#include "store/later.h"
#include "store/layers.h"
#include "store/pagemap.h"
#include "store/publish.h"
#include "store/statistics.h"
#include "store/system.h"

enum { AGAIN_NS = 1000000000 };

/* A parent that may not map so many times in a row publishes all the same, if its workers map. */
enum { REFUSED_FOR_LONG = 2 };
static unsigned map_refusals;

static bool published_here[STORE_FILES];
/* By the block's first file: it was looked for what came since, in this sealing. */
static bool was_looked_at[STORE_FILES];
/* What came since; of the block for which it was looked for last. */
static store_pages came;

static void find_own(const uint64_t entries[STORE_CHUNK], unsigned begin, store_pages* own) {
  *own = (store_pages){{0}};
  for (unsigned i = 0; i < STORE_CHUNK; ++i)
    if (store_is_private(entries[i]) && (entries[i] & STORE_MAPPED_ONCE)) store_pages_add(own, begin + i);
}

/* From this page on to the end of its chunk; returns the page that it came to. */
static unsigned map_chunk(int file, unsigned begin, int pagemap) {
  const unsigned chunk = begin / STORE_CHUNK * STORE_CHUNK, end = chunk + STORE_CHUNK;
  const uintptr_t address = store_blocks[file].address, to = address + (uintptr_t)end * STORE_PAGE;
  static uint64_t entries[STORE_CHUNK]; /* threads have small stacks */
  const bool known =
      pagemap >= 0 && store_pagemap_read(pagemap, address + (uintptr_t)chunk * STORE_PAGE, entries);
  store_pages own;
  if (known) find_own(entries, chunk, &own);
  const bool first = store_blocks[file].key == address;
  uintptr_t from = address + (uintptr_t)begin * STORE_PAGE, last;
  for (; (first ? store_batch_usable : store_batch_plain)(from, to, &from, &last); from = last) {
    const size_t before = store_statistics.sealed;
    const unsigned stop = (unsigned)((last - address) / STORE_PAGE);
    const unsigned come_to =
        store_block_map(file, (unsigned)((from - address) / STORE_PAGE), stop, known ? &own : NULL);
    if (!published_here[file]) store_statistics.found += store_statistics.sealed - before;
    if (come_to < stop) return come_to;
  }
  if (known && !first) store_later_map_copies(file, chunk, entries);
  return end;
}

static void finish_file(int file) {
  store_blocks[file].sealed = true;
  if (!store_pages_any(&store_blocks[file].mapped, 0, STORE_PAGES)) {
    store_block_drop(file);
    store_file_left(file);
  } else if (store_key_number(store_blocks[file].key) == 0) {
    store_block_done(file); /* others are mapped from in passes too */
  }
}

/* Compares and maps what a batch allows. */
static store_progress map_some(int file, uintptr_t key) {
  store_block* block = &store_blocks[file];
  if (!store_block_open(file, key)) return STORE_REFUSED;
  const bool begun = store_batch_begin(STORE_BATCH_NS), may = begun && store_batch_may_map();
  /* What differs in a worker that was sealed in the midst of its work it has written since the fork, and may
   * have its old bytes again when that is done; so has the publisher what it has written since it copied. */
  const int pagemap = may && (heap_generation() > 0 || published_here[file]) ? store_pagemap_open() : -1;
  while (may && block->compared < STORE_PAGES && !store_batch_over())
    block->compared = map_chunk(file, block->compared, pagemap);
  if (pagemap >= 0) store_call(SYS_close, pagemap);
  if (begun) {
    store_block_forget(file);
    store_batch_end();
  }
  store_block_close(file); /* before the program can close it and have another file there */
  if (!may) {
    ++map_refusals;
    return STORE_REFUSED;
  }
  map_refusals = 0;
  if (block->compared == STORE_PAGES) finish_file(file);
  return STORE_MORE;
}

static store_progress fill_some(int file, uintptr_t key) {
  switch (
      store_publish_some(file, key, store_key_number(key) ? &came : NULL, store_now_ns() + STORE_BATCH_NS)) {
    case STORE_FILLED:
      published_here[file] = true;
      return STORE_MORE;
    case STORE_FILL_MORE:
      return STORE_MORE;
    default:
      return STORE_REFUSED;
  }
}

/* The file with this key that was sealed; or -1. Once, even if all of it is plain memory again, or a layer's,
 * and its file nobody's: pages of a layer must not be mapped from a second file. */
static int sealed_file(uintptr_t key) {
  for (int file = 0; file < store_blocks_end; ++file)
    if (store_blocks[file].sealed && store_blocks[file].key == key) return file;
  return -1;
}

/* One step for one file. */
static store_progress file_some(int file, uintptr_t key, bool may_publish) {
  /* Its file has been given up, or somebody has changed the control area, when this process was half-way. */
  const int begun = store_block_with(key);
  if (begun >= 0 && begun != file) {
    store_refuse(SAMEPAGE_STORE_HOLDER);
    finish_file(begun);
    return STORE_MORE;
  }
  const store_block* block = &store_blocks[file];
  if (block->view && block->key != key) {
    store_refuse(SAMEPAGE_STORE_HOLDER);
    return STORE_REFUSED;
  }
  switch (store_file_state_of(file)) {
    case STORE_PUBLISHED:
      return map_some(file, key);
    case STORE_FREE:
      if (!may_publish || !store_file_may_be_claimed()) return STORE_WAITING;
      if (!store_has_headroom()) {
        store_refuse(SAMEPAGE_STORE_MEMORY);
        return STORE_REFUSED;
      }
      if (!store_file_claim(file)) return STORE_WAITING;
      if (store_family_find(key) == file) return fill_some(file, key);
      store_file_abandon(file); /* the silent publisher whose place this would take has gone on meanwhile */
      return STORE_WAITING;
    default:
      return store_file_claimed(file) ? fill_some(file, key) : STORE_WAITING;
  }
}

/* ---- what came when the block was sealed already ---- */

/* In the block's next file. */
static store_progress publish_later(uintptr_t key) {
  const uintptr_t address = store_key_block(key);
  const int first = sealed_file(address);
  if (was_looked_at[first] || !store_family_has_spare_files()) return STORE_DONE;
  if (!store_file_may_be_claimed()) return STORE_WAITING;
  if (!store_later_find(address, &came)) return STORE_REFUSED;
  was_looked_at[first] = true;
  if (!store_pages_any(&came, 0, STORE_PAGES)) return STORE_MORE;
  const int file = store_family_file(key);
  if (file < 0) return STORE_MORE;
  const store_progress begun = file_some(file, key, true);
  was_looked_at[first] = begun == STORE_MORE;
  return begun;
}

static store_progress later_some(uintptr_t address, bool may_publish) {
  for (uintptr_t key = address + STORE_LAYERS + 1; key <= address + STORE_LAST_FILE; ++key) {
    const int file = store_family_find(key);
    if ((file < 0 && !may_publish) || sealed_file(key) >= 0) continue;
    const store_file_state state = file < 0 ? STORE_FREE : store_file_state_of(file);
    if (state == STORE_PUBLISHED || (state == STORE_FILLING && may_publish))
      return file_some(file, key, may_publish);
    if (may_publish) return publish_later(key);
  }
  return STORE_DONE;
}

static store_progress let_go_some(int file) {
  bool done;
  if (!store_block_unmap_some(file, 0, STORE_PAGES, &done)) return STORE_REFUSED;
  if (done) {
    store_blocks[file].held = 0; /* what is left is not looked at again */
    finish_file(file);
  }
  return STORE_MORE;
}

/* ---- the whole ---- */

static store_progress first_some(uintptr_t address, bool may_publish) {
  if (sealed_file(address) >= 0) return STORE_DONE;
  const int file = may_publish ? store_family_file(address) : store_family_find(address);
  if (file >= 0) return file_some(file, address, may_publish);
  if (!may_publish) return STORE_WAITING;
  store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
  return STORE_REFUSED;
}

/* For its workers alone. */
static store_progress publish_some(uintptr_t address, bool may_publish) {
  const int file = sealed_file(address) >= 0 ? -1 : store_family_file(address);
  return file < 0 || store_file_state_of(file) == STORE_PUBLISHED ? STORE_DONE
                                                                  : file_some(file, address, may_publish);
}

/* What came later must not take the files that other blocks need. */
static store_progress rest_some(uintptr_t address, bool may_publish) {
  if (sealed_file(address) < 0) return STORE_DONE;
  const int superseded = store_later_superseded(address);
  return superseded >= 0 ? let_go_some(superseded) : later_some(address, may_publish);
}

/* One step: of the first block for which there is something to do. */
static store_progress of_all(store_progress (*one_step)(uintptr_t address, bool may_publish),
                             bool may_publish) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  store_progress all = STORE_DONE;
  for (uintptr_t address = store_key_block(begin); address < end && all != STORE_MORE && all != STORE_REFUSED;
       address += STORE_BLOCK) {
    const store_progress one = one_step(address, may_publish);
    if (one != STORE_DONE) all = one;
  }
  return all;
}

/* Whether this process has mapped what another has published, or has it by the fork. */
static bool follows(void) {
  for (int file = 0; file < store_blocks_end; ++file)
    if (store_blocks[file].sealed && !published_here[file] && store_file_key(file)) return true;
  return false;
}

static bool can_map(void) {
  const bool begun = store_batch_begin(STORE_SHORT_BATCH_NS), may = begun && store_batch_may_map();
  if (begun) store_batch_end();
  return may;
}

/* Who has it by the fork alone, and may map nothing, gives its publisher no reason to go on. */
static void tell_publisher(void) {
  static int64_t next;
  const int64_t now = store_now_ns();
  if (store_family_has_mapped() || now < next || !follows()) return;
  next = now + AGAIN_NS;
  if (can_map()) store_family_maps();
}

store_progress store_seal_some(bool may_publish) {
  tell_publisher();
  store_direct_end();
  if (may_publish) store_layers_give_up();
  store_publish_only_needed();
  const int64_t cpu = store_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  store_progress all = STORE_DONE;
  if (may_publish && map_refusals >= REFUSED_FOR_LONG && store_family_has_mapped())
    all = of_all(publish_some, may_publish);
  if (all != STORE_MORE) all = of_all(first_some, may_publish);
  if (all != STORE_MORE) { /* also while it waits: perhaps for what it is filling there itself */
    const store_progress rest = of_all(rest_some, may_publish);
    if (rest == STORE_MORE || all == STORE_DONE) all = rest;
  }
  if (all == STORE_DONE || all == STORE_REFUSED) memset(was_looked_at, 0, sizeof was_looked_at);
  store_statistics.seal_seconds += (double)(store_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
  return all;
}

/* The place of a block's first file is kept also when the file has gone: a block is sealed as a whole once.
 */
bool store_seal_renew_family(void) {
  bool in_use[STORE_FILES];
  store_publish_give_up();
  store_layers_give_up();
  for (int file = 0; file < STORE_FILES; ++file) {
    store_block* block = &store_blocks[file];
    if (file < store_blocks_end && store_block_is_over(block, block->address))
      finish_file(file); /* a layer */
    in_use[file] =
        file < store_blocks_end && (block->view || (block->sealed && block->key == block->address));
  }
  if (!store_family_renew(in_use)) return false;
  for (int file = 0; file < store_blocks_end; ++file)
    if (!in_use[file]) store_blocks[file].sealed = false;
  return true;
}

void store_seal_forked(void) {
  store_later_for_workers(false);
  memset(published_here, 0, sizeof published_here);
  memset(was_looked_at, 0, sizeof was_looked_at);
  map_refusals = 0;
  store_publish_forked();
}

#define _GNU_SOURCE
#include "store/seal.h"

#include <stdint.h>
#include <string.h>

#include "heap/phase.h"
#include "heap/window.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/direct.h"
#include "store/family.h"
#include "store/headroom.h"
#include "store/layers.h"
#include "store/pagemap.h"
#include "store/publish.h"
#include "store/statistics.h"
#include "store/system.h"

enum { STEP_NS = 7000000 };

static bool published_here[STORE_FILES];

static uintptr_t chunk_address(uintptr_t address, unsigned page) {
  return address + (uintptr_t)page * STORE_PAGE;
}

static bool find_own(int pagemap, uintptr_t address, unsigned chunk, store_pages* own) {
  uint64_t entries[STORE_CHUNK];
  *own = (store_pages){{0}};
  if (pagemap < 0 || !store_pagemap_read(pagemap, chunk_address(address, chunk), entries)) return false;
  for (unsigned i = 0; i < STORE_CHUNK; ++i)
    if (store_is_private(entries[i]) && (entries[i] & STORE_MAPPED_ONCE)) store_pages_add(own, chunk + i);
  return true;
}

/* From this page on to the end of its chunk; returns the page that it came to. */
static unsigned map_chunk(int file, uintptr_t address, unsigned begin, int pagemap) {
  const unsigned chunk = begin / STORE_CHUNK * STORE_CHUNK, end = chunk + STORE_CHUNK;
  store_pages own;
  const bool known = find_own(pagemap, address, chunk, &own);
  uintptr_t from = chunk_address(address, begin), first, last;
  while (store_batch_usable(from, chunk_address(address, end), &first, &last)) {
    const size_t before = store_statistics.sealed;
    const unsigned to = (unsigned)((last - address) / STORE_PAGE);
    const unsigned come_to =
        store_block_map(file, (unsigned)((first - address) / STORE_PAGE), to, known ? &own : NULL);
    if (!published_here[file]) store_statistics.found += store_statistics.sealed - before;
    if (come_to < to) return come_to;
    from = last;
  }
  return end;
}

static void finish_block(int file) {
  store_blocks[file].sealed = true;
  store_block_done(file);
  if (store_pages_any(&store_blocks[file].mapped, 0, STORE_PAGES)) return;
  store_block_drop(file);
  store_file_left(file);
}

/* Compares and maps what a batch allows. */
static store_progress map_some(int file, uintptr_t address) {
  store_block* block = &store_blocks[file];
  if (!store_block_open(file, address)) return STORE_REFUSED;
  if (!store_batch_begin(STORE_BATCH_NS)) return STORE_REFUSED;
  const bool may = store_batch_may_map();
  /* What differs in a worker that was sealed in the midst of its work it has written since the fork, and may
   * have its old bytes again when that is done; so has the publisher what it has written since it copied. */
  const int pagemap = heap_generation() > 0 || published_here[file] ? store_pagemap_open() : -1;
  while (may && block->compared < STORE_PAGES && !store_batch_over())
    block->compared = map_chunk(file, address, block->compared, pagemap);
  if (pagemap >= 0) store_call(SYS_close, pagemap);
  store_block_forget(file);
  store_batch_end();
  store_block_close(file); /* before the program can close it and have another file there */
  if (!may) return STORE_REFUSED;
  if (block->compared == STORE_PAGES) finish_block(file);
  return STORE_MORE;
}

static store_progress fill_some(int file, uintptr_t address) {
  switch (store_publish_some(file, address, store_now_ns() + STEP_NS)) {
    case STORE_FILLED:
      published_here[file] = true;
      return STORE_MORE;
    case STORE_FILL_MORE:
      return STORE_MORE;
    default:
      return STORE_REFUSED;
  }
}

/* Once, even if all of it is plain memory again, or a layer's, and its file nobody's: pages of a layer must
 * not be mapped from a second file. */
static bool is_sealed(uintptr_t address) {
  for (int file = 0; file < store_blocks_end; ++file)
    if (store_blocks[file].sealed && !store_blocks[file].layer && store_blocks[file].address == address)
      return true;
  return false;
}

/* One step for one block. */
static store_progress block_some(uintptr_t address, bool may_publish) {
  if (is_sealed(address)) return STORE_DONE;
  const int file = store_family_file(address);
  if (file < 0) {
    store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
    return STORE_REFUSED;
  }
  /* Its file has been given up, or somebody has changed the control area, when this process was half-way. */
  const int first = store_block_at(address);
  if (first >= 0 && first != file) {
    store_refuse(SAMEPAGE_STORE_HOLDER);
    finish_block(first);
    return STORE_DONE;
  }
  const store_block* block = &store_blocks[file];
  if (block->view && (block->layer || block->address != address)) {
    store_refuse(SAMEPAGE_STORE_HOLDER);
    return STORE_REFUSED;
  }
  switch (store_file_state_of(file)) {
    case STORE_PUBLISHED:
      return map_some(file, address);
    case STORE_FREE:
      if (!may_publish || !store_file_may_be_claimed()) return STORE_WAITING;
      if (!store_has_headroom()) {
        store_refuse(SAMEPAGE_STORE_MEMORY);
        return STORE_REFUSED;
      }
      if (!store_file_claim(file)) return STORE_WAITING;
      if (store_family_file(address) == file) return fill_some(file, address);
      store_file_abandon(file); /* the silent publisher whose place this would take has gone on meanwhile */
      return STORE_WAITING;
    default:
      return store_file_claimed(file) ? fill_some(file, address) : STORE_WAITING;
  }
}

store_progress store_seal_some(bool may_publish) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  store_progress all = STORE_DONE;
  store_direct_end();
  if (may_publish) store_layers_give_up();
  store_publish_only_needed();
  const int64_t cpu = store_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  for (uintptr_t address = begin / STORE_BLOCK * STORE_BLOCK;
       address < end && all != STORE_MORE && all != STORE_REFUSED; address += STORE_BLOCK) {
    const store_progress one = block_some(address, may_publish);
    if (one != STORE_DONE) all = one;
  }
  store_statistics.seal_seconds += (double)(store_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
  return all;
}

void store_seal_forked(void) {
  memset(published_here, 0, sizeof published_here);
  store_publish_forked();
}

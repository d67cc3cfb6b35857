#define _GNU_SOURCE
#include "store/later.h"

#include <string.h>

#include "heap/phase.h"
#include "heap/window.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/exempt.h"
#include "store/layers.h"
#include "store/pagemap.h"
#include "store/system.h"

enum {
  WORTH_IT = 512, /* pages; fewer are not worth a further file */
  LITTLE = 16,    /* what is left of a file if it is less than 1/16, each process may have for itself */
};

static bool for_workers;

size_t store_later_own(void) {
  static uint64_t entries[STORE_CHUNK]; /* threads have small stacks */
  uintptr_t begin, end;
  size_t pages = 0;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  const int pagemap = store_pagemap_open();
  for (uintptr_t at = begin; pagemap >= 0 && at < end && store_pagemap_read(pagemap, at, entries);
       at += (uintptr_t)STORE_CHUNK * STORE_PAGE)
    for (unsigned i = 0; i < STORE_CHUNK; ++i)
      pages += store_is_own(entries[i]) && !store_is_exempt(at + (uintptr_t)i * STORE_PAGE);
  if (pagemap >= 0) store_call(SYS_close, pagemap);
  return pages * STORE_PAGE;
}

/* Of a chunk: private copies of the file's pages. */
static void find_copies(int file, unsigned chunk, const uint64_t entries[STORE_CHUNK],
                        uint64_t copies[STORE_CHUNK / 64]) {
  const uintptr_t begin = store_blocks[file].address + (uintptr_t)chunk * STORE_PAGE,
                  end = begin + (uintptr_t)STORE_CHUNK * STORE_PAGE;
  memset(copies, 0, STORE_CHUNK / 8);
  if (!store_blocks[file].view) return;
  uintptr_t last;
  for (uintptr_t at = begin; store_batch_of_store(at, end, &at, &last); at = last)
    for (; at < last; at += STORE_PAGE) {
      const unsigned i = (unsigned)((at - begin) / STORE_PAGE);
      if (store_is_own(entries[i]) && store_pages_has(&store_blocks[file].mapped, chunk + i))
        copies[i / 64] |= (uint64_t)1 << (i % 64);
    }
}

void store_later_map_copies(int file, unsigned chunk, const uint64_t entries[STORE_CHUNK]) {
  uint64_t copies[STORE_CHUNK / 64];
  for (int under = 0; under < store_blocks_end; ++under) {
    if (under == file || store_blocks[under].address != store_blocks[file].address) continue;
    find_copies(under, chunk, entries, copies);
    store_layers_map(file, chunk, copies);
  }
}

/* ---- what is to be published ---- */

static void add_plain(uintptr_t address, unsigned chunk, const uint64_t entries[STORE_CHUNK],
                      store_pages* came) {
  const uintptr_t begin = address + (uintptr_t)chunk * STORE_PAGE,
                  end = begin + (uintptr_t)STORE_CHUNK * STORE_PAGE;
  uintptr_t last;
  for (uintptr_t at = begin; store_batch_plain(at, end, &at, &last); at = last)
    for (; at < last; at += STORE_PAGE)
      if (store_is_own(entries[(at - begin) / STORE_PAGE]))
        store_pages_add(came, (unsigned)((at - address) / STORE_PAGE));
}

static void add_changed(uintptr_t address, unsigned chunk, const uint64_t entries[STORE_CHUNK],
                        store_pages* came) {
  uint64_t copies[STORE_CHUNK / 64];
  for (int file = 0; file < store_blocks_end; ++file) {
    if (store_blocks[file].address != address) continue;
    find_copies(file, chunk, entries, copies);
    for (unsigned i = 0; i < STORE_CHUNK; ++i)
      if (copies[i / 64] >> (i % 64) & 1 && !store_block_is_equal(file, chunk + i))
        store_pages_add(came, chunk + i);
    store_block_forget(file);
  }
}

/* What differed when the block was sealed stays this process's. */
static void leave_out_stored(uintptr_t address, store_pages* came) {
  for (int file = 0; file < store_blocks_end; ++file)
    for (unsigned i = 0; store_blocks[file].address == address && i < STORE_PAGES / 64; ++i)
      came->words[i] &= ~store_blocks[file].present.words[i];
}

/* From this page on, as far as a batch allows. */
static bool find_some(int pagemap, uintptr_t address, unsigned* chunk, store_pages* came) {
  static uint64_t entries[STORE_CHUNK]; /* threads have small stacks */
  if (!store_batch_begin(STORE_BATCH_NS)) return false;
  for (; *chunk < STORE_PAGES && !store_batch_over(); *chunk += STORE_CHUNK) {
    if (!store_pagemap_read(pagemap, address + (uintptr_t)*chunk * STORE_PAGE, entries)) continue;
    add_plain(address, *chunk, entries, came);
    if (for_workers) add_changed(address, *chunk, entries, came);
  }
  store_batch_end();
  return true;
}

bool store_later_find(uintptr_t address, store_pages* came) {
  *came = (store_pages){{0}};
  const int pagemap = store_pagemap_open();
  bool good = pagemap >= 0;
  for (unsigned chunk = 0; good && chunk < STORE_PAGES;) good = find_some(pagemap, address, &chunk, came);
  if (pagemap >= 0) store_call(SYS_close, pagemap);
  if (!for_workers) leave_out_stored(address, came);
  if (store_pages_drop_short_runs(came) < WORTH_IT) *came = (store_pages){{0}};
  return good;
}

/* ---- what is left of earlier files ---- */

static bool is_superseded(const store_block* block) {
  if (!block->view || !block->sealed || store_pages_count(&block->mapped) >= block->held / LITTLE)
    return false;
  for (int other = 0; other < store_blocks_end; ++other)
    if (store_block_is_over(&store_blocks[other], block->address) && store_blocks[other].sealed &&
        store_blocks[other].turn > block->turn)
      return true;
  return false;
}

int store_later_superseded(uintptr_t address) {
  if (!for_workers && heap_generation() == 0) return -1; /* a copy has had a part of it from the beginning */
  for (int file = 0; file < store_blocks_end; ++file)
    if (store_blocks[file].address == address && is_superseded(&store_blocks[file])) return file;
  return -1;
}

void store_later_for_workers(bool it_is) {
  for_workers = it_is;
}

#define _GNU_SOURCE
#include "store/publish.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "store/config.h"
#include "store/exempt.h"
#include "store/family.h"
#include "store/key.h"
#include "store/pagemap.h"
#include "store/statistics.h"
#include "store/system.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum {
  SMALL_HOLE = 16,   /* pages that do not exist are published as zeros, for one mapping's sake */
  DEAR_FAULT = 6000, /* ns; on hardware the kernel needs 500 to 1000 */
  FAULTS_TO_SEE = 8,
};

static int filling = -1;
static uintptr_t filling_key;
static unsigned filled; /* pages */

/* Writes [begin, end), which the program may have unmapped or protected meanwhile. */
static bool write_run(int fd, uintptr_t address, unsigned begin, unsigned end) {
  for (size_t at = (size_t)begin * STORE_PAGE, to = (size_t)end * STORE_PAGE; at < to;) {
    const long written = store_call(SYS_pwrite64, fd, address + at, to - at, at);
    if (written <= 0) return written < 0 && (errno == EFAULT || errno == EINTR);
    at += (size_t)written;
    store_statistics.published += (size_t)written;
  }
  return true;
}

static int64_t time_of(volatile unsigned char* page) {
  const int64_t began = store_now_ns();
  if (page) *page = 1;
  return store_now_ns() - began;
}

/* Whether faults go through a hypervisor that keeps page tables of its own. Under the store's lock. */
static bool faults_are_dear(void) {
  static bool known, dear;
  const size_t size = (size_t)FAULTS_TO_SEE * STORE_PAGE;
  if (known) return dear;
  unsigned char* fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) return false;
  madvise(fresh, size, MADV_NOHUGEPAGE);
  int64_t least = INT64_MAX, clock = INT64_MAX;
  for (int round = 0; round < 2; ++round) { /* in the first the host may have to find the memory */
    madvise(fresh, size, MADV_DONTNEED);
    for (size_t at = 0; at < size; at += STORE_PAGE) {
      const int64_t fault = time_of(fresh + at), nothing = time_of(NULL);
      if (fault < least) least = fault;
      if (nothing < clock) clock = nothing;
    }
  }
  munmap(fresh, size);
  known = true;
  return dear = least - clock > DEAR_FAULT;
}

/* Workers write to what they share, and to each of them a 2 MB page then is 512 small ones. Reading those
 * took five times as long as reading small pages where faults are dear, at no fault of the guest's: it seems
 * that all are aged together whenever the kernel looks at one (DAMON, damon_folio_mkold). Copies seldom
 * write. */
static bool small_pages_are_better(void) {
  return store_family_copies() <= 1 && !store_config.joined && faults_are_dear();
}

/* Makes one 2 MB page of a chunk, before anybody maps it: those who had would lose it from their page tables.
 * Only read through the mapping, it needs no privilege and no setting. The kernel copies what is in the chunk
 * and clears the rest, so it is done when there is one page of it. */
static void collapse(int fd, unsigned begin) {
  const size_t size = (size_t)STORE_CHUNK * STORE_PAGE;
  if (small_pages_are_better()) return;
  const void* view = store_map_view(fd, (size_t)begin * STORE_PAGE, size);
  if (!view) return;
  if (madvise((void*)view, size, MADV_COLLAPSE) == 0) store_statistics.huge += size;
  munmap((void*)view, size);
}

static bool write_chunk(int fd, int pagemap, uintptr_t address, unsigned begin, const store_pages* only) {
  static uint64_t entries[STORE_CHUNK]; /* threads have small stacks */
  if (!store_pagemap_read(pagemap, address + (uintptr_t)begin * STORE_PAGE, entries)) return true;
  for (unsigned page = 0; only && page < STORE_CHUNK; ++page)
    if (!store_pages_has(only, begin + page)) entries[page] = 0;
  for (unsigned page = 0; page < STORE_CHUNK; ++page) {
    unsigned end = page, hole = 0;
    while (end + hole < STORE_CHUNK && hole <= (only ? 0 : SMALL_HOLE)) {
      if (store_is_exempt(address + (uintptr_t)(begin + end + hole) * STORE_PAGE)) break;
      if (entries[end + hole] & (STORE_PRESENT | STORE_SWAPPED))
        end += hole + 1, hole = 0;
      else if (end > page)
        ++hole;
      else
        break;
    }
    if (end == page) continue;
    if (end - page == STORE_CHUNK) {
      if (!write_run(fd, address, begin, begin + 1)) return false;
      collapse(fd, begin);
      ++page;
    }
    if (!write_run(fd, address, begin + page, begin + end)) return false;
    page = end - 1;
  }
  return true;
}

void store_publish_give_up(void) {
  if (filling < 0) return;
  store_file_abandon(filling);
  store_file_close(filling);
  filling = -1;
}

store_fill store_publish_some(int file, uintptr_t key, const store_pages* only, int64_t deadline) {
  if (filling != file) filling = file, filling_key = key, filled = 0;
  const int fd = store_file_writer(file), pagemap = fd < 0 ? -1 : store_pagemap_open();
  bool good = fd >= 0 && pagemap >= 0;
  if (fd < 0) store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
  while (good && filled < STORE_PAGES && store_now_ns() < deadline) {
    if (!write_chunk(fd, pagemap, store_key_block(key), filled, only))
      good = store_refuse(SAMEPAGE_STORE_MEMORY);
    filled += STORE_CHUNK;
    if (!store_file_claimed(file)) good = store_refuse(SAMEPAGE_STORE_BUSY);
  }
  if (pagemap >= 0) store_call(SYS_close, pagemap);
  if (fd >= 0) store_call(SYS_close, fd);
  if (good && filled < STORE_PAGES) return STORE_FILL_MORE;
  if (!good || !store_file_publish(file)) {
    store_publish_give_up();
    return STORE_FILL_FAILED;
  }
  filling = -1;
  return STORE_FILLED;
}

void store_publish_only_needed(void) {
  if (filling >= 0 && (!store_file_claimed(filling) || store_family_find(filling_key) != filling))
    store_publish_give_up();
}

void store_publish_forked(void) {
  filling = -1;
}

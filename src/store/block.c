#define _GNU_SOURCE
#include "store/block.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "store/batch.h"
#include "store/family.h"
#include "store/statistics.h"
#include "store/system.h"

enum {
  MOSTLY = 2, /* a run of which more than 1/2 differs stays as it is */
  SCRATCH = STORE_CHUNK / MOSTLY,
  PART = 64,       /* pages; copying so many takes 2 ms where faults are slow */
  FAULT_NS = 4000, /* before one was seen */
  RECENT = 16,     /* faults that the mean is of */
};

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

store_block store_blocks[STORE_FILES];
int store_blocks_end;

/* Pages whose bytes must survive a new mapping. */
static unsigned char scratch[SCRATCH][STORE_PAGE] __attribute__((aligned(STORE_PAGE)));

static unsigned opened;
static _Atomic(size_t) discarded; /* bytes */

static _Atomic(int64_t) fault_ns = FAULT_NS;

static unsigned char* page_at(const store_block* block, unsigned page) {
  return (unsigned char*)block->address + (size_t)page * STORE_PAGE;
}

bool store_block_open(int file, uintptr_t key) {
  store_block* block = &store_blocks[file];
  if (block->view && block->reader >= 0) return true;
  store_pages present;
  const int reader = store_file_reader(file, block->view ? NULL : &present);
  if (reader < 0) return false;
  if (block->view) {
    block->reader = reader;
    return true;
  }
  const void* view = store_map_view(reader, 0, STORE_BLOCK);
  if (!view) {
    store_call(SYS_close, reader);
    return store_refuse(SAMEPAGE_STORE_ADDRESS_SPACE);
  }
  madvise((void*)view, STORE_BLOCK, MADV_DONTDUMP); /* the constants' own mapping is dumped */
  if (file >= store_blocks_end) store_blocks_end = file + 1;
  block->address = store_key_block(key);
  block->key = key;
  block->view = view;
  block->reader = reader;
  block->present = present;
  block->held = (unsigned)store_pages_count(&present);
  block->turn = opened++;
  block->mapped = (store_pages){{0}};
  block->compared = 0;
  block->sealed = false;
  memset(block->history, 0, sizeof block->history);
  memset(block->rewritten_since, 0, sizeof block->rewritten_since);
  memset(block->whole, 0, sizeof block->whole);
  return true;
}

void store_block_forget(int file) {
  const store_block* block = &store_blocks[file];
  if (block->view) store_call(SYS_madvise, block->view, STORE_BLOCK, MADV_DONTNEED);
  store_call(SYS_madvise, scratch, sizeof scratch, MADV_DONTNEED);
}

void store_block_close(int file) {
  store_block* block = &store_blocks[file];
  if (block->view && block->reader >= 0) store_call(SYS_close, block->reader);
  block->reader = -1;
}

int store_block_with(uintptr_t key) {
  for (int file = 0; file < store_blocks_end; ++file)
    if (store_blocks[file].view && store_blocks[file].key == key) return file;
  return -1;
}

void store_block_done(int file) {
  store_block_close(file);
  store_file_close(file);
}

void store_block_drop(int file) {
  store_block* block = &store_blocks[file];
  store_block_done(file);
  if (block->view) munmap((void*)block->view, STORE_BLOCK);
  block->view = NULL;
}

/* ---- mapping ---- */

/* The kernel has taken the old mapping away and failed to make the new one. */
static void restore(const store_block* block, unsigned begin, unsigned end) {
  unsigned char* at = page_at(block, begin);
  const size_t size = (size_t)(end - begin) * STORE_PAGE;
  if (mmap(at, size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at)
    memcpy(at, block->view + (size_t)begin * STORE_PAGE, size);
}

int64_t store_block_fault_ns(void) {
  return atomic_load_explicit(&fault_ns, memory_order_relaxed);
}

/* One that took more than twice as long as usual was interrupted. */
static void fault_seen(int64_t ns) {
  const int64_t usual = store_block_fault_ns();
  atomic_store_explicit(&fault_ns, usual + ((ns < 2 * usual ? ns : 2 * usual) - usual) / RECENT,
                        memory_order_relaxed);
}

/* A core dump leaves out a private mapping of a file that never had a page of its own. */
static void make_dumpable(unsigned char* page, size_t size) {
  const int64_t began = store_now_ns();
  atomic_fetch_or((_Atomic(unsigned char)*)page, 0);
  fault_seen(store_now_ns() - began);
  store_call(SYS_madvise, page, size, MADV_DONTNEED);
}

/* A processor fetches ahead of what it reads up to the end of the page: the next one's beginning is asked
 * for. */
static bool is_equal(const store_block* block, unsigned page) {
  const unsigned char *here = page_at(block, page), *stored = block->view + (size_t)page * STORE_PAGE;
  __builtin_prefetch(here + STORE_PAGE);
  __builtin_prefetch(here + STORE_PAGE + 64);
  __builtin_prefetch(stored + STORE_PAGE);
  __builtin_prefetch(stored + STORE_PAGE + 64);
  return memcmp(here, stored, STORE_PAGE) == 0;
}

bool store_block_is_equal(int file, unsigned page) {
  return is_equal(&store_blocks[file], page);
}

/* A page has one file: what a program has mapped anew may still be noted as another one's. */
static void take_from_others(const store_block* block, unsigned begin, unsigned end) {
  for (int file = 0; file < store_blocks_end; ++file) {
    store_block* other = &store_blocks[file];
    if (other == block || !other->view || other->address != block->address ||
        !store_pages_any(&other->mapped, begin, end))
      continue;
    for (unsigned page = begin; page < end; ++page) {
      if (!store_pages_has(&other->mapped, page)) continue;
      store_pages_remove(&other->mapped, page);
      other->history[page] = 0;
      store_statistics.sealed -= STORE_PAGE;
    }
  }
}

static bool map_run(store_block* block, unsigned begin, unsigned end, const store_pages* own) {
  unsigned differing[SCRATCH], count = 0, dear = 0;
  const unsigned most = own ? PART : SCRATCH, dear_most = (end - begin) / MOSTLY;
  if (end - begin < STORE_SHORT_RUN) return false;
  for (unsigned page = begin; page < end; ++page) {
    if (is_equal(block, page)) continue;
    if (!own || !store_pages_has(own, page)) ++dear;
    if (count == most || dear > dear_most) return false;
    memcpy(scratch[count], page_at(block, page), STORE_PAGE);
    differing[count++] = page;
  }
  unsigned char* at = page_at(block, begin);
  const size_t size = (size_t)(end - begin) * STORE_PAGE;
  const bool mapped = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
                           block->reader, (off_t)begin * STORE_PAGE) == at;
  if (!mapped) {
    store_refuse(SAMEPAGE_STORE_MAP_COUNT);
    restore(block, begin, end);
  }
  if (mapped) {
    make_dumpable(at, size);
    madvise(at, size, MADV_POPULATE_READ); /* as present as they were: no fault, no smaller RSS later */
  }
  for (unsigned i = 0; i < count; ++i) memcpy(page_at(block, differing[i]), scratch[i], STORE_PAGE);
  if (!mapped) return false;
  take_from_others(block, begin, end);
  for (unsigned page = begin; page < end; ++page) store_pages_add(&block->mapped, page);
  store_statistics.sealed += size;
  store_statistics.private_after += count * (size_t)STORE_PAGE;
  return true;
}

unsigned store_block_map(int file, unsigned begin, unsigned end, const store_pages* own) {
  store_block* block = &store_blocks[file];
  for (unsigned page = begin; page < end;) {
    unsigned run = page;
    while (run < end && store_pages_has(&block->present, run) && !store_pages_has(&block->mapped, run)) ++run;
    if (run == page) {
      ++page;
      continue;
    }
    if (!map_run(block, page, run, own) && own) {
      if (run > page + PART) run = page + PART;
      map_run(block, page, run, own);
      if (store_batch_over()) return run;
    }
    page = run;
  }
  return end;
}

bool store_block_map_over(int file, unsigned begin, unsigned end) {
  const size_t private_after = store_statistics.private_after; /* a pass counts them */
  if (!map_run(&store_blocks[file], begin, end, NULL)) return false;
  store_statistics.private_after = private_after;
  store_statistics.resealed += (size_t)(end - begin) * STORE_PAGE;
  return true;
}

/* ---- back to plain memory ---- */

static bool map_plain(const store_block* block, unsigned begin, unsigned end) {
  unsigned char* at = page_at(block, begin);
  return mmap(at, (size_t)(end - begin) * STORE_PAGE, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at;
}

static void count_plain(store_block* block, unsigned begin, unsigned end) {
  for (unsigned page = begin; page < end; ++page) {
    if (!store_pages_has(&block->mapped, page)) continue;
    store_pages_remove(&block->mapped, page);
    store_statistics.sealed -= STORE_PAGE;
    store_statistics.plain_again += STORE_PAGE;
  }
}

bool store_block_unmap(int file, unsigned begin, unsigned end) {
  store_block* block = &store_blocks[file];
  for (unsigned page = begin; page < end; ++page) {
    unsigned run = page;
    while (run < end && run - page < SCRATCH && store_pages_has(&block->mapped, run)) ++run;
    if (run == page) continue;
    const size_t size = (size_t)(run - page) * STORE_PAGE;
    memcpy(scratch, page_at(block, page), size);
    if (!map_plain(block, page, run)) return store_refuse(SAMEPAGE_STORE_MAP_COUNT);
    memcpy(page_at(block, page), scratch, size);
    count_plain(block, page, run);
    page = run - 1;
  }
  return true;
}

bool store_block_unmap_some(int file, unsigned begin, unsigned stop, bool* done) {
  store_block* block = &store_blocks[file];
  const uintptr_t address = block->address, end = address + (uintptr_t)stop * STORE_PAGE;
  if (!store_batch_begin(STORE_BATCH_NS)) return false;
  bool good = true, over = false;
  uintptr_t at = address + (uintptr_t)begin * STORE_PAGE, last;
  for (; good && !over && store_batch_of_store(at, end, &at, &last); at = last) {
    if (last - at > (uintptr_t)STORE_CHUNK * STORE_PAGE) last = at + (uintptr_t)STORE_CHUNK * STORE_PAGE;
    const unsigned from = (unsigned)((at - address) / STORE_PAGE),
                   to = (unsigned)((last - address) / STORE_PAGE);
    if (!store_pages_any(&block->mapped, from, to)) continue; /* another file's */
    good = store_block_unmap(file, from, to);
    over = store_batch_over();
  }
  store_block_forget(file);
  store_batch_end();
  *done = good && !over;
  return good;
}

bool store_block_discard(int file, unsigned begin, unsigned end) {
  store_block* block = &store_blocks[file];
  if (store_pages_any(&block->mapped, begin, end) && !map_plain(block, begin, end))
    return store_refuse(SAMEPAGE_STORE_MAP_COUNT);
  const size_t sealed = store_statistics.sealed;
  count_plain(block, begin, end);
  atomic_fetch_add_explicit(&discarded, sealed - store_statistics.sealed, memory_order_relaxed);
  for (unsigned page = begin; page < end; ++page) store_pages_remove(&block->present, page);
  return true;
}

size_t store_block_discarded(void) {
  return atomic_load_explicit(&discarded, memory_order_relaxed);
}

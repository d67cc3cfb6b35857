#define _GNU_SOURCE
#include "store/pass.h"

#include <string.h>
#include <sys/resource.h>

#include "store/batch.h"
#include "store/block.h"
#include "store/family.h"
#include "store/layers.h"
#include "store/pagemap.h"
#include "store/statistics.h"
#include "store/system.h"

/* A page's history: how often in a row it was private again after it had been given back, how often in a row
 * it was compared in vain, and whether the last pass gave it back. */
enum {
  AGAIN = 0x07,
  IN_VAIN = 0x38,
  IN_VAIN_ONE = 0x08,
  GIVEN_BACK = 0x40,
  AGAIN_MOST = 6,
  BETWEEN = 8, /* pages; the kernel maps 16 at once */
  MOSTLY_REWRITTEN = STORE_CHUNK / 4 * 3,
  DIFFERS = 2 * IN_VAIN_ONE,        /* in vain so often: a layer may have it */
  REWRITTEN_LONG = 4 * IN_VAIN_ONE, /* or else it belongs to this process */
};

/* A chunk that stays rewritten while the process works for so long; one piece of work may take a while. */
static const int64_t REWRITTEN_NS = (int64_t)60 * 1000000000;

/* Of a chunk of which a page was private: so many passes after the last such one it is mapped anew, as one 2
 * MB page where the kernel does so. Sooner it would be split again, each time by some 30 faults. */
enum { WHOLE_PASSES = 4 };

static store_pass pass;
static bool under_way;
static int at_file;
static unsigned at_page, number;
static size_t private_before, private_after;

static bool is_given_up(unsigned char history) {
  return (history & AGAIN) >= AGAIN_MOST;
}

static bool is_due(unsigned char history, bool all) {
  if (all) return true;
  if (is_given_up(history)) return false;
  return number % (1u << (history & IN_VAIN) / IN_VAIN_ONE) == 0;
}

/* Pages that are given back as one run: the store's own pages between them, which no copy hides, may be
 * dropped as well, as the kernel maps them again together with their neighbours. */
typedef struct {
  unsigned begin, end; /* equal if there is none */
} run_of_pages;

static void drop(uintptr_t address, run_of_pages* run) {
  if (run->begin != run->end)
    store_batch_drop(address + (uintptr_t)run->begin * STORE_PAGE,
                     (size_t)(run->end - run->begin) * STORE_PAGE);
  *run = (run_of_pages){0, 0};
}

static void give_back(uintptr_t address, run_of_pages* run, unsigned page) {
  if (run->begin == run->end || page - run->end > BETWEEN) {
    drop(address, run);
    run->begin = page;
  }
  run->end = page + 1;
  ++pass.given_back;
  private_after -= STORE_PAGE;
}

/* What is learnt from finding the page private or not, before it is compared. */
static void note_fault(unsigned char* history, bool is_private) {
  if (is_private && (*history & GIVEN_BACK)) {
    ++pass.faults;
    if ((*history & AGAIN) < AGAIN && (++*history & AGAIN) == AGAIN_MOST)
      store_statistics.given_up += STORE_PAGE;
  } else if (!is_private && (*history & AGAIN) && (*history & AGAIN) < AGAIN_MOST) {
    --*history;
  }
  *history &= (unsigned char)~GIVEN_BACK;
}

static bool compare(const store_block* block, uintptr_t address, unsigned page, unsigned char* history) {
  const size_t offset = (size_t)page * STORE_PAGE;
  ++pass.compared;
  if (memcmp((const void*)(address + offset), block->view + offset, STORE_PAGE) != 0) {
    if ((*history & IN_VAIN) != IN_VAIN) *history += IN_VAIN_ONE;
    return false;
  }
  *history = (unsigned char)((*history & ~IN_VAIN) | GIVEN_BACK);
  return true;
}

/* Whether it is so for good. */
static bool is_rewritten(int64_t* since, bool now_it_is, bool all) {
  if (!now_it_is)
    *since = 0;
  else if (!*since)
    *since = store_now_ns();
  return now_it_is && (all || store_now_ns() - *since >= REWRITTEN_NS);
}

/* Since the first write to it small pages are mapped. The kernel (6.14 and later) gives their table up with
 * the last of them, and maps what the file has at the next look. */
static void make_whole(store_block* block, uintptr_t from, unsigned begin, bool has_own) {
  unsigned char* whole = &block->whole[begin / STORE_CHUNK];
  if (has_own) {
    *whole = 1;
  } else if (*whole && ++*whole > WHOLE_PASSES) {
    const uintptr_t to = from + (uintptr_t)STORE_CHUNK * STORE_PAGE;
    uintptr_t first, last;
    *whole = 0;
    if (store_pages_run(&block->mapped, begin, begin + STORE_CHUNK) == begin + STORE_CHUNK &&
        store_batch_of_store(from, to, &first, &last) && first == from && last == to)
      store_batch_drop(from, to - from);
  }
}

/* One chunk: the pages of it that are private, compared, dropped in runs. */
static void pass_chunk(int file, uintptr_t address, unsigned begin, const uint64_t* entries, bool all) {
  store_block* block = &store_blocks[file];
  run_of_pages run = {0, 0};
  unsigned rewritten = 0;
  bool has_own = false;
  uint64_t differ[STORE_CHUNK / 64] = {0};
  uintptr_t first = 0, last = 0; /* what may be read and dropped: a program may have protected the rest */
  for (unsigned page = begin; page < begin + STORE_CHUNK; ++page) {
    unsigned char* history = &block->history[page];
    bool equal = false;
    const uintptr_t at = address + (uintptr_t)page * STORE_PAGE;
    if (at >= last &&
        !store_batch_of_store(at, address + (uintptr_t)(begin + STORE_CHUNK) * STORE_PAGE, &first, &last))
      break;
    has_own = has_own || store_is_own(entries[page - begin]);
    if (at >= first && store_pages_has(&block->mapped, page)) {
      const uint64_t entry = entries[page - begin];
      const bool is_private = store_is_private(entry);
      if (is_private || *history) note_fault(history, is_private);
      if (is_private) {
        private_before += STORE_PAGE;
        private_after += STORE_PAGE;
        const bool due = is_due(*history, all);
        if (due) equal = compare(block, address, page, history);
        if (!due && is_given_up(*history)) ++pass.given_up;
        if (!equal && (*history & IN_VAIN) >= DIFFERS && (due || store_layers_fresh()))
          differ[(page - begin) / 64] |= (uint64_t)1 << (page % 64);
        if ((*history & IN_VAIN) >= REWRITTEN_LONG) ++rewritten;
      }
    }
    if (equal)
      give_back(address, &run, page);
    else if (at < first || !store_pages_has(&block->mapped, page) || store_is_own(entries[page - begin]))
      drop(address, &run);
  }
  drop(address, &run);
  make_whole(block, address + (uintptr_t)begin * STORE_PAGE, begin, has_own);
  const unsigned from_layers = store_layers_chunk(file, begin, differ);
  private_after -= (size_t)from_layers * STORE_PAGE;
  if (is_rewritten(&block->rewritten_since[begin / STORE_CHUNK], rewritten >= MOSTLY_REWRITTEN + from_layers,
                   all)) {
    const uintptr_t from = address + (uintptr_t)begin * STORE_PAGE;
    const uintptr_t to = from + (uintptr_t)STORE_CHUNK * STORE_PAGE;
    store_batch_drop_now();
    if (store_batch_of_store(from, to, &first, &last) && first == from && last == to)
      store_block_unmap(file, begin, begin + STORE_CHUNK);
  }
}

/* False at the end of what is mapped. */
static bool next_chunk(void) {
  for (; at_file < store_blocks_end; ++at_file, at_page = 0) {
    if (!store_blocks[at_file].view) continue;
    for (; at_page < STORE_PAGES; at_page += STORE_CHUNK)
      if (store_pages_any(&store_blocks[at_file].mapped, at_page, at_page + STORE_CHUNK)) return true;
  }
  return false;
}

static void begin_pass(void) {
  under_way = true;
  store_layers_begin();
  at_file = 0, at_page = 0;
  private_before = private_after = 0;
  pass = (store_pass){.done = false};
  ++number;
}

static void leave_file(int file) {
  store_block_forget(file);
  if (store_blocks[file].view && store_blocks[file].sealed &&
      !store_pages_any(&store_blocks[file].mapped, 0, STORE_PAGES)) {
    store_block_drop(file);
    store_file_left(file);
  }
}

static void end_pass(void) {
  for (int file = 0; file < store_blocks_end; ++file) /* what malloc has taken back */
    if (store_blocks[file].view && !store_pages_any(&store_blocks[file].mapped, 0, STORE_PAGES))
      leave_file(file);
  under_way = false;
  pass.done = true;
  store_layers_end();
  store_statistics.private_before = private_before;
  store_statistics.private_after = private_after;
  ++store_statistics.passes;
}

/* A block of which nothing is mapped any more needs no file. */
static void run_batch(int pagemap, bool all) {
  static uint64_t entries[STORE_CHUNK]; /* threads have small stacks */
  int file = -1;
  while (next_chunk() && !store_batch_over()) {
    if (file >= 0 && file != at_file) leave_file(file);
    file = at_file;
    const uintptr_t address = store_blocks[file].address;
    if (store_pagemap_read(pagemap, address + (uintptr_t)at_page * STORE_PAGE, entries))
      pass_chunk(file, address, at_page, entries, all);
    at_page += STORE_CHUNK;
  }
  if (file >= 0) leave_file(file);
}

static int64_t faults_of_thread(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_minflt;
}

const store_pass* store_pass_some(bool all, int64_t longest_ns) {
  if (!under_way) begin_pass();
  const int64_t cpu = store_clock_ns(CLOCK_THREAD_CPUTIME_ID), own_faults = faults_of_thread();
  const unsigned given_back = pass.given_back, faults = pass.faults;
  const bool has_chunks = next_chunk();
  if (has_chunks) {
    const int pagemap = store_pagemap_open();
    if (pagemap >= 0 && store_batch_begin(longest_ns)) {
      run_batch(pagemap, all);
      store_batch_end();
    } else {
      pass.refused = true;
      under_way = false;
    }
    store_layers_close();
    if (pagemap >= 0) store_call(SYS_close, pagemap);
  }
  const bool is_over = !pass.refused && !has_chunks && store_layers_publish_some(longest_ns);
  const int64_t spent = store_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
  pass.cpu_ns += spent;
  pass.own_faults += faults_of_thread() - own_faults;
  store_statistics.pass_seconds += (double)spent * 1e-9;
  store_statistics.given_back += (size_t)(pass.given_back - given_back) * STORE_PAGE;
  store_statistics.faults_caused += pass.faults - faults;
  if (is_over) end_pass();
  return &pass;
}

bool store_pass_under_way(void) {
  return under_way;
}

void store_pass_forked(void) {
  under_way = false;
}

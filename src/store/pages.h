/* A set of the pages of one block, as bits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  STORE_PAGE = 4096,      /* x86-64 alone: the kernel's page size */
  STORE_BLOCK = 32 << 20, /* bytes of constants in one memory file */
  STORE_PAGES = STORE_BLOCK / STORE_PAGE,
  STORE_CHUNK = 512,   /* pages that are handled at once: one 2 MB page */
  STORE_SHORT_RUN = 4, /* pages; fewer are not worth a mapping */
};

typedef struct {
  uint64_t words[STORE_PAGES / 64];
} store_pages;

static inline bool store_pages_has(const store_pages* set, unsigned page) {
  return set->words[page / 64] >> (page % 64) & 1;
}
static inline void store_pages_add(store_pages* set, unsigned page) {
  set->words[page / 64] |= (uint64_t)1 << (page % 64);
}
static inline void store_pages_remove(store_pages* set, unsigned page) {
  set->words[page / 64] &= ~((uint64_t)1 << (page % 64));
}
static inline size_t store_pages_count(const store_pages* set) {
  size_t count = 0;
  for (unsigned i = 0; i < STORE_PAGES / 64; ++i) count += (size_t)__builtin_popcountll(set->words[i]);
  return count;
}
/* The end of the run of them that begins at `begin`, which may be empty. */
static inline unsigned store_pages_run(const store_pages* set, unsigned begin, unsigned end) {
  while (begin < end && store_pages_has(set, begin)) ++begin;
  return begin;
}
/* Takes the runs out that are too short; how many pages are left. */
static inline unsigned store_pages_drop_short_runs(store_pages* set) {
  unsigned count = 0;
  for (unsigned page = 0, run; page < STORE_PAGES; page = run + 1) {
    run = store_pages_run(set, page, STORE_PAGES);
    if (run - page >= STORE_SHORT_RUN)
      count += run - page;
    else
      while (page < run) store_pages_remove(set, page++);
  }
  return count;
}
static inline bool store_pages_any(const store_pages* set, unsigned begin, unsigned end) {
  for (unsigned page = begin; page < end;) {
    if (page % 64 == 0 && !set->words[page / 64])
      page += 64;
    else if (store_pages_has(set, page))
      return true;
    else
      ++page;
  }
  return false;
}

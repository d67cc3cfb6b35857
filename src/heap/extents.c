#include "heap/extents.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/phase.h"
#include "heap/policy.h"

enum {
  MAX_ARENAS = 512,
  PER_CPU = 4, /* as many arenas as jemalloc has by default */
  /* Arenas of this many generations are kept apart; an older one is used again. */
  GENERATIONS = 8,
  /* An older arena with at most this much in it is taken over with its holes: at most so much memory stops
   * being shared with distant relatives. A larger one has its holes plugged first. */
  SMALL_ARENA_PAGES = 256,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static heap_arena arenas[MAX_ARENAS];
static unsigned arena_count;

/* ---- extent hooks: see jemalloc(3), arena.<i>.extent_hooks; true means refused ---- */

static heap_arena* arena_of(extent_hooks_t* hooks) {
  return (heap_arena*)hooks;
}

static void* hook_alloc(extent_hooks_t* hooks, void* at, size_t size, size_t alignment, bool* zero,
                        bool* commit, unsigned index) {
  (void)index;
  if (at) return NULL; /* nobody can extend an extent in place at a frontier that others move */
  void* p = heap_range_map(arena_of(hooks)->role, size, alignment);
  if (!p) { /* the range is used up: anywhere, if alignment allows */
    if (alignment > (size_t)sysconf(_SC_PAGESIZE)) return NULL;
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
  }
  *zero = *commit = true;
  heap_policy_grown(arena_of(hooks)->role, p, size);
  return p;
}

/* A child refuses for its ancestors' arenas: giving their free pages back would cost it system calls and an
 * equal share in them, and gain nothing. (jemalloc asks when the last thread leaves an arena.) */
static bool hook_purge(extent_hooks_t* hooks, void* at, size_t size, size_t offset, size_t length,
                       unsigned index) {
  (void)size, (void)index;
  const heap_arena* arena = arena_of(hooks);
  return arena->generation < heap_generation() ||
         !heap_policy_may_purge(arena->role, (char*)at + offset, length) ||
         madvise((char*)at + offset, length, MADV_DONTNEED) != 0;
}

static bool hook_split(extent_hooks_t* hooks, void* at, size_t size, size_t a, size_t b, bool committed,
                       unsigned index) {
  (void)hooks, (void)at, (void)size, (void)a, (void)b, (void)committed, (void)index;
  return false;
}

static bool hook_merge(extent_hooks_t* hooks, void* a, size_t a_size, void* b, size_t b_size, bool committed,
                       unsigned index) {
  (void)hooks, (void)a, (void)a_size, (void)b, (void)b_size, (void)committed, (void)index;
  return false;
}

/* No dalloc: freed extents stay with their arena (opt.retain), whose role their addresses have. */
static const extent_hooks_t kHooks = {
    .alloc = hook_alloc, .purge_forced = hook_purge, .split = hook_split, .merge = hook_merge};

/* ---- arenas ---- */

static size_t arena_statistic(const heap_arena* arena, const char* name) {
  char key[64];
  size_t value = 0, length = sizeof value;
  snprintf(key, sizeof key, "stats.arenas.%u.%s", arena->index, name);
  return je_mallctl(key, &value, &length, NULL, 0) == 0 ? value : 0;
}

static void refresh_statistics(void) {
  uint64_t epoch = 1;
  je_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
}

static bool layout_kept;

static void never_purge(const heap_arena* arena) {
  ssize_t never = -1;
  char key[64];
  snprintf(key, sizeof key, "arena.%u.dirty_decay_ms", arena->index);
  je_mallctl(key, NULL, NULL, &never, sizeof never);
}

static heap_arena* create(heap_role role, unsigned generation) {
  if (arena_count == MAX_ARENAS) return NULL;
  heap_arena* arena = &arenas[arena_count];
  size_t length = sizeof arena->index;
  /* Created with jemalloc's own hooks, which its bookkeeping goes on to use; ours serve the extents. */
  if (je_mallctl("arenas.create", &arena->index, &length, NULL, 0)) return NULL;
  *arena = (heap_arena){.hooks = kHooks, .index = arena->index, .role = role, .generation = generation};
  extent_hooks_t* hooks = &arena->hooks;
  char key[64];
  snprintf(key, sizeof key, "arena.%u.extent_hooks", arena->index);
  if (je_mallctl(key, NULL, NULL, &hooks, sizeof hooks)) return NULL;
  ++arena_count;
  if (layout_kept && role == HEAP_CONSTANT) never_purge(arena);
  return arena;
}

/* Fills every hole in the slabs of an ancestor's arena, without touching the pages, and purges its free
 * pages: what the arena gives after this lies on pages that nobody shares. */
static void plug(heap_arena* arena) {
  unsigned bins = 0;
  size_t length = sizeof bins;
  je_mallctl("arenas.nbins", &bins, &length, NULL, 0);
  for (unsigned bin = 0; bin < bins; ++bin) {
    size_t size = 0;
    uint32_t regions = 0;
    char key[64];
    snprintf(key, sizeof key, "arenas.bin.%u.size", bin);
    length = sizeof size;
    je_mallctl(key, &size, &length, NULL, 0);
    snprintf(key, sizeof key, "arenas.bin.%u.nregs", bin);
    length = sizeof regions;
    je_mallctl(key, &regions, &length, NULL, 0);
    snprintf(key, sizeof key, "bins.%u.curslabs", bin);
    size_t capacity = arena_statistic(arena, key) * regions;
    snprintf(key, sizeof key, "bins.%u.curregs", bin);
    for (size_t used = arena_statistic(arena, key); used < capacity; ++used)
      je_mallocx(size, MALLOCX_ARENA(arena->index) | MALLOCX_TCACHE_NONE);
  }
  char key[64];
  snprintf(key, sizeof key, "arena.%u.purge", arena->index);
  je_mallctl(key, NULL, NULL, NULL, 0);
}

/* Takes over the oldest arena of an ancestor far enough back, so that a chain of generations does not collect
 * arenas (each costs about 100 kB, and time in every fork). NULL if there is none. */
static heap_arena* recycle(heap_role role, unsigned generation) {
  heap_arena* oldest = NULL;
  for (unsigned i = 0; i < arena_count; ++i)
    if (arenas[i].role == role && arenas[i].generation != 0 &&
        arenas[i].generation + GENERATIONS <= generation &&
        (!oldest || arenas[i].generation < oldest->generation))
      oldest = &arenas[i];
  if (!oldest) return NULL;
  oldest->generation = generation;
  refresh_statistics();
  if (arena_statistic(oldest, "pactive") > SMALL_ARENA_PAGES) plug(oldest);
  oldest->threads = 0;
  return oldest;
}

static heap_arena* make(heap_role role, unsigned generation) {
  heap_arena* arena = role == HEAP_TACTICAL ? recycle(role, generation) : NULL;
  return arena ? arena : create(role, generation);
}

/* The least used one; *count says how many there are. */
static heap_arena* find(heap_role role, unsigned generation, unsigned* count) {
  heap_arena* best = NULL;
  *count = 0;
  for (unsigned i = 0; i < arena_count; ++i) {
    if (arenas[i].role != role || arenas[i].generation != generation) continue;
    ++*count;
    if (!best || arenas[i].threads < best->threads) best = &arenas[i];
  }
  return best;
}

heap_arena* heap_arena_acquire(heap_role role, unsigned generation) {
  static unsigned limit;
  pthread_mutex_lock(&lock);
  if (!limit) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    limit = PER_CPU * (unsigned)(cpus > 0 ? cpus : 1);
  }
  unsigned count;
  heap_arena* arena = find(role, generation, &count);
  if (!arena || (arena->threads && count < limit)) {
    heap_arena* made = make(role, generation);
    if (made) arena = made;
  }
  if (arena) ++arena->threads;
  pthread_mutex_unlock(&lock);
  return arena;
}

void heap_arena_release(heap_arena* arena) {
  pthread_mutex_lock(&lock);
  if (arena->threads) --arena->threads;
  pthread_mutex_unlock(&lock);
}

void heap_arena_prepare(unsigned generation) {
  unsigned count;
  pthread_mutex_lock(&lock);
  if (!find(HEAP_TACTICAL, generation, &count)) make(HEAP_TACTICAL, generation);
  pthread_mutex_unlock(&lock);
}

void heap_arenas_lock(void) {
  pthread_mutex_lock(&lock);
}
void heap_arenas_unlock(void) {
  pthread_mutex_unlock(&lock);
}
void heap_arenas_forked(void) {
  for (unsigned i = 0; i < arena_count; ++i) arenas[i].threads = 0;
  pthread_mutex_unlock(&lock); /* held by the thread that forked, which is this one */
}

void heap_arenas_keep_layout(void) {
  pthread_mutex_lock(&lock);
  layout_kept = true;
  for (unsigned i = 0; i < arena_count; ++i)
    if (arenas[i].role == HEAP_CONSTANT) never_purge(&arenas[i]);
  pthread_mutex_unlock(&lock);
}

void heap_extent_drop(void* block, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)block + page - 1) & ~(page - 1),
            end = ((uintptr_t)block + size) & ~(page - 1);
  if (begin < end && heap_policy_may_purge(HEAP_CONSTANT, (void*)begin, end - begin))
    madvise((void*)begin, end - begin, MADV_DONTNEED);
}

size_t heap_arenas_active(heap_role role) {
  size_t pages = 0;
  pthread_mutex_lock(&lock);
  refresh_statistics();
  for (unsigned i = 0; i < arena_count; ++i)
    if (arenas[i].role == role) pages += arena_statistic(&arenas[i], "pactive");
  pthread_mutex_unlock(&lock);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

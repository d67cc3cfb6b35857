#include "heap/extents.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap/phase.h"
#include "heap/policy.h"

enum {
  MAX_ARENAS = 512,
  /* Arenas per processor: as many as jemalloc has by default, and fewer for event memory, which is the denser
   * the fewer there are. A forked worker has its processors in common with its siblings, and its event memory
   * is all that it adds to theirs: one arena for so many processors. */
  CONSTANT_PER_CPU = 4,
  TACTICAL_PER_CPU = 2,
  CPUS_PER_WORKERS_ARENA = 2,
  TACTICAL_DECAY_MS = 250,
  /* Arenas of this many generations are kept apart; an older one is used again. */
  GENERATIONS = 8,
  /* An older arena with at most so many bytes in use is taken over with its holes: little memory stops being
   * shared with distant relatives. A fuller one, if there are only such, has its holes plugged first. */
  LIGHT_ARENA = 1 << 20,
  HUGE_PAGE = 2 << 20,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static heap_arena arenas[MAX_ARENAS];
static _Atomic(unsigned) arena_count;
static _Atomic(unsigned) taken_over_by; /* the youngest generation that uses an ancestor's arena again */

/* NULL if it is none of ours. No lock: an arena is in the table before anything is allocated from it. */
static const heap_arena* arena_with(unsigned index) {
  for (unsigned i = 0, count = atomic_load(&arena_count); i < count; ++i)
    if (arenas[i].index == index) return &arenas[i];
  return NULL;
}

/* ---- extents ----
 *
 * jemalloc's own functions for them are replaced (ld --wrap). Hooks through its interface would do, but it
 * calls those for every split and merge of an extent too, each time with its thread-specific data prepared
 * for a call back: 3 % of a realloc. Each of these is for addresses of the range, or for an arena of ours;
 * the real one for all others. True means refused, where a bool is returned. */

/* jemalloc's: what MALLOC_CONF says with thp:always or thp:never. */
void je_pages_set_thp_state(void* at, size_t size);

static void set_huge_pages(void* at, size_t size) {
  const int saved = errno;
  je_pages_set_thp_state(at, size);
  errno = saved;
}

static void no_huge_page(void* at, size_t size) {
  const int saved = errno;
  madvise(at, size, MADV_NOHUGEPAGE); /* EINVAL where there are none */
  errno = saved;
}

/* Not by madvise(), which is the store's here. */
static long give_back(void* at, size_t size) {
  return syscall(SYS_madvise, at, size, MADV_DONTNEED);
}

#define REPLACED(type, name, ...)                    \
  type __real_je_ehooks_default_##name(__VA_ARGS__); \
  type __wrap_je_ehooks_default_##name(__VA_ARGS__); \
  type __wrap_je_ehooks_default_##name(__VA_ARGS__)

REPLACED(void*, alloc_impl, void* tsdn, void* at, size_t size, size_t alignment, bool* zero, bool* commit,
         unsigned index) {
  const heap_arena* arena = arena_with(index);
  if (!arena) return __real_je_ehooks_default_alloc_impl(tsdn, at, size, alignment, zero, commit, index);
  if (at) return NULL; /* nobody can extend an extent in place at a frontier that others move */
  void* p = heap_range_map(arena->role, size, alignment);
  if (!p) { /* the range is used up: anywhere, if alignment allows */
    if (alignment > (size_t)sysconf(_SC_PAGESIZE)) return NULL;
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
  }
  *zero = *commit = true;
  set_huge_pages(p, size);
  /* A forked worker's first, of which it may need a few pages: no huge page where these are always given. */
  if (arena->role == HEAP_TACTICAL && heap_generation() > 0 && size <= HUGE_PAGE) no_huge_page(p, size);
  heap_policy_grown(arena->role, p, size);
  return p;
}

/* Freed extents stay with their arena, whose role their addresses have; also when that is destroyed. */
REPLACED(void, destroy_impl, void* at, size_t size) {
  if (!heap_in_range(at)) __real_je_ehooks_default_destroy_impl(at, size);
}
REPLACED(bool, dalloc_impl, void* at, size_t size) {
  return heap_in_range(at) || __real_je_ehooks_default_dalloc_impl(at, size);
}
REPLACED(bool, decommit_impl, void* at, size_t offset, size_t length) {
  return heap_in_range(at) || __real_je_ehooks_default_decommit_impl(at, offset, length);
}
REPLACED(bool, purge_lazy_impl, void* at, size_t offset, size_t length) {
  return heap_in_range(at) || __real_je_ehooks_default_purge_lazy_impl(at, offset, length);
}

/* jemalloc would have the kernel do it, which then shows what the store has mapped there. */
REPLACED(void, zero_impl, void* at, size_t size) {
  if (heap_in_range(at))
    memset(at, 0, size);
  else
    __real_je_ehooks_default_zero_impl(at, size);
}

/* A child refuses for its ancestors' arenas: giving their free pages back would cost it system calls and an
 * equal share in them, and gain nothing. */
REPLACED(bool, purge_forced_impl, void* at, size_t offset, size_t length) {
  if (!heap_in_range(at)) return __real_je_ehooks_default_purge_forced_impl(at, offset, length);
  const heap_role role = heap_is_constant(at) ? HEAP_CONSTANT : HEAP_TACTICAL;
  return (heap_inherited(at) && atomic_load(&taken_over_by) < heap_generation()) ||
         !heap_policy_may_purge(role, (char*)at + offset, length) ||
         give_back((char*)at + offset, length) != 0 ||
         /* What was mapped here meanwhile, by another thread or a signal handler, shows instead of zeros. */
         !heap_policy_may_purge(role, (char*)at + offset, length);
}

/* jemalloc's bookkeeping, which comes in stretches of 2 MB (extents of other arenas do not): the few pages
 * that a process uses of each, for itself alone, are not to become a huge page where the kernel always makes
 * them. */
void* __real_je_extent_alloc_mmap(void* at, size_t size, size_t alignment, bool* zero, bool* commit);
void* __wrap_je_extent_alloc_mmap(void* at, size_t size, size_t alignment, bool* zero, bool* commit);
void* __wrap_je_extent_alloc_mmap(void* at, size_t size, size_t alignment, bool* zero, bool* commit) {
  void* p = __real_je_extent_alloc_mmap(at, size, alignment, zero, commit);
  if (p && alignment >= HUGE_PAGE) no_huge_page(p, size);
  return p;
}

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

/* After how long free pages are given back; -1: never. */
static void set_decay(const heap_arena* arena, ssize_t ms) {
  char key[64];
  snprintf(key, sizeof key, "arena.%u.dirty_decay_ms", arena->index);
  je_mallctl(key, NULL, NULL, &ms, sizeof ms);
}

/* Jemalloc's own, unless the user chose another. Event memory goes back sooner: it is what makes a worker
 * private, and one event's pages seldom fit the next one's exactly. */
static ssize_t decay_of(heap_role role) {
  ssize_t decay = 0;
  size_t length = sizeof decay;
  je_mallctl("opt.dirty_decay_ms", &decay, &length, NULL, 0);
  return role == HEAP_TACTICAL && decay > TACTICAL_DECAY_MS ? TACTICAL_DECAY_MS : decay;
}

static heap_arena* create(heap_role role, unsigned generation) {
  if (arena_count == MAX_ARENAS) return NULL;
  heap_arena* arena = &arenas[arena_count];
  unsigned index;
  size_t length = sizeof index;
  if (je_mallctl("arenas.create", &index, &length, NULL, 0)) return NULL;
  *arena = (heap_arena){.index = index, .role = role, .generation = generation};
  ++arena_count;
  set_decay(arena, layout_kept && role == HEAP_CONSTANT ? -1 : decay_of(role));
  return arena;
}

static void purge(const heap_arena* arena) {
  char key[64];
  snprintf(key, sizeof key, "arena.%u.purge", arena->index);
  je_mallctl(key, NULL, NULL, NULL, 0);
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
  purge(arena);
}

/* Bytes in use; not pages, of which an empty arena keeps a slab for each size. */
static bool is_light(const heap_arena* arena) {
  return arena_statistic(arena, "small.allocated") + arena_statistic(arena, "large.allocated") <= LIGHT_ARENA;
}

/* Takes over an arena of an ancestor far enough back, the oldest light one or else the oldest, so that a
 * chain of generations does not collect arenas (each costs about 100 kB, and time in every fork). NULL if
 * there is none. */
static heap_arena* recycle(heap_role role, unsigned generation) {
  heap_arena *oldest = NULL, *light = NULL;
  refresh_statistics();
  for (unsigned i = 0; i < arena_count; ++i) {
    heap_arena* arena = &arenas[i];
    if (arena->role != role || arena->generation == 0 || arena->generation + GENERATIONS > generation)
      continue;
    if (!oldest || arena->generation < oldest->generation) oldest = arena;
    if ((!light || arena->generation < light->generation) && is_light(arena)) light = arena;
  }
  heap_arena* chosen = light ? light : oldest;
  if (!chosen) return NULL;
  if (!light) plug(chosen);
  atomic_store(&chosen->generation, generation);
  chosen->threads = 0;
  atomic_store(&taken_over_by, generation);
  return chosen;
}

bool heap_arena_taken_over(const void* block) {
  const unsigned generation = heap_generation();
  if (atomic_load(&taken_over_by) < generation) return false;
  unsigned index;
  size_t length = sizeof index;
  if (je_mallctl("arenas.lookup", &index, &length, &block, sizeof block)) return false;
  const heap_arena* arena = arena_with(index);
  return arena && atomic_load(&arena->generation) == generation;
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

static unsigned arenas_most(heap_role role, unsigned generation) {
  static unsigned cpus;
  if (!cpus) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    cpus = online > 0 ? (unsigned)online : 1;
  }
  if (role == HEAP_CONSTANT) return cpus * CONSTANT_PER_CPU;
  if (generation == 0) return cpus * TACTICAL_PER_CPU;
  return (cpus + CPUS_PER_WORKERS_ARENA - 1) / CPUS_PER_WORKERS_ARENA;
}

heap_arena* heap_arena_acquire(heap_role role, unsigned generation) {
  pthread_mutex_lock(&lock);
  unsigned limit = arenas_most(role, generation), count;
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
    if (arenas[i].role == HEAP_CONSTANT) set_decay(&arenas[i], -1);
  pthread_mutex_unlock(&lock);
}

void heap_arenas_give_back(void) {
  pthread_mutex_lock(&lock);
  if (layout_kept) {
    layout_kept = false;
    for (unsigned i = 0; i < arena_count; ++i)
      if (arenas[i].role == HEAP_CONSTANT) set_decay(&arenas[i], decay_of(HEAP_CONSTANT));
  }
  pthread_mutex_unlock(&lock);
}

void heap_arenas_purge(heap_role role) {
  pthread_mutex_lock(&lock);
  const unsigned generation = heap_generation();
  for (unsigned i = 0; i < arena_count; ++i)
    if (arenas[i].role == role && arenas[i].generation == generation &&
        !(layout_kept && role == HEAP_CONSTANT))
      purge(&arenas[i]);
  pthread_mutex_unlock(&lock);
}

void heap_extent_drop(void* block, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)block + page - 1) & ~(page - 1),
            end = ((uintptr_t)block + size) & ~(page - 1);
  if (begin < end && heap_policy_may_purge(HEAP_CONSTANT, (void*)begin, end - begin))
    give_back((void*)begin, end - begin);
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

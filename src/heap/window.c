#include "heap/window.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>

#define ALIGNMENT ((uintptr_t)1 << 30)

/* Threads start with epoch 0: not ready. */
heap_fast_state heap_fast = {.low = 0, .span = UINTPTR_MAX, .epoch = 1};
static _Atomic(uintptr_t) window_high = UINTPTR_MAX;

/* Until heap_range_init the range is empty: nothing is in it, nothing can be mapped in it. */
static uintptr_t base, top;
static _Atomic(uintptr_t) constant_end, tactical_begin;
/* Whether growth moves the window's bound: low while constants grow after settle, high while tactical
 * extents grow in the constant phase. */
static atomic_bool low_follows, high_follows;

/* The frontiers when this process was forked: what lies beyond them belonged to its ancestors. */
static uintptr_t inherited_low = 0, inherited_high = UINTPTR_MAX;

void heap_range_init(void) {
  uintptr_t limit = (uintptr_t)1 << (63 - __builtin_clzl((uintptr_t)&limit)); /* half of the address space */
  uintptr_t size = limit / 4, random = 0;
  const void* seed = (const void*)getauxval(AT_RANDOM); /* 16 random bytes from the kernel */
  if (seed && !(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) memcpy(&random, seed, sizeof random);
  /* jemalloc's and glibc's guards draw on the same bytes: do not let an address give them away. */
  random *= (uintptr_t)0x9e3779b97f4a7c15u;
  base = limit / 2 + (random >> 8) % size / ALIGNMENT * ALIGNMENT;
  top = base + size;
  atomic_store(&constant_end, base);
  atomic_store(&tactical_begin, top);
}

static bool map_at(uintptr_t address, size_t size) {
  void* got = mmap((void*)address, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == (void*)address) return true;
  if (got != MAP_FAILED) munmap(got, size); /* kernels before 4.17 take the address for a hint */
  return false;
}

static void at_least(_Atomic(uintptr_t)* bound, uintptr_t least) {
  uintptr_t now = atomic_load(bound);
  while (now < least && !atomic_compare_exchange_weak(bound, &now, least)) {
  }
}

static void at_most(_Atomic(uintptr_t)* bound, uintptr_t most) {
  uintptr_t now = atomic_load(bound);
  while (now > most && !atomic_compare_exchange_weak(bound, &now, most)) {
  }
}

/* Before anyone can hold a block beyond the bound. Lost races only ever leave the more careful bound; while
 * one bound follows its frontier the other one stays. */
static void raise_low(uintptr_t to) {
  at_most(&heap_fast.span, atomic_load(&window_high) - to);
  at_least(&heap_fast.low, to);
}

static void lower_high(uintptr_t to) {
  at_most(&window_high, to);
  at_most(&heap_fast.span, to - atomic_load(&heap_fast.low));
}

/* Takes addresses from the role's frontier; 0 when the two frontiers would meet. */
static uintptr_t advance(heap_role role, size_t size, size_t alignment) {
  _Atomic(uintptr_t)* frontier = role == HEAP_CONSTANT ? &constant_end : &tactical_begin;
  uintptr_t mask = alignment - 1, old = atomic_load(frontier), begin, next;
  do {
    if (size > top - base || alignment > top - base) return 0;
    begin = role == HEAP_CONSTANT ? (old + mask) & ~mask : (old - size) & ~mask;
    next = role == HEAP_CONSTANT ? begin + size : begin;
    if (role == HEAP_CONSTANT ? next > atomic_load(&tactical_begin) : next < atomic_load(&constant_end))
      return 0;
  } while (!atomic_compare_exchange_weak(frontier, &old, next));
  if (role == HEAP_CONSTANT && atomic_load(&low_follows)) raise_low(next);
  if (role == HEAP_TACTICAL && atomic_load(&high_follows)) lower_high(next);
  return begin;
}

void* heap_range_map(heap_role role, size_t size, size_t alignment) {
  /* Somebody else's mapping may lie in the way: step over it, a few times. */
  for (int attempt = 0; attempt < 8; ++attempt) {
    uintptr_t at = advance(role, size, alignment);
    if (!at) return NULL;
    if (map_at(at, size)) return (void*)at;
  }
  return NULL;
}

bool heap_in_range(const void* p) {
  return (uintptr_t)p - base < top - base;
}

bool heap_is_constant(const void* p) {
  return (uintptr_t)p - base < atomic_load(&constant_end) - base;
}

void heap_range_bounds(heap_role role, uintptr_t* begin, uintptr_t* end) {
  *begin = role == HEAP_CONSTANT ? base : atomic_load(&tactical_begin);
  *end = role == HEAP_CONSTANT ? atomic_load(&constant_end) : top;
}

/* While other threads run, they see the old window, the new one, or less than both. Should settling be undone
 * while constants grow, the low bound may stay where that raised it: blocks below go the slow way. */
static void open_window(bool follow_low, bool follow_high) {
  atomic_store(&low_follows, follow_low);
  atomic_store(&high_follows, follow_high);
  atomic_store(&window_high, UINTPTR_MAX);
  atomic_store(&heap_fast.low, 0);
  atomic_store(&heap_fast.span, UINTPTR_MAX);
}

void heap_window_everything(void) {
  open_window(false, false);
}
void heap_window_without_tactical(void) {
  open_window(false, true);
  lower_high(atomic_load(&tactical_begin));
}
void heap_window_after_settle(void) {
  open_window(true, false);
  raise_low(atomic_load(&constant_end));
}
void heap_window_in_child(void) {
  inherited_low = atomic_load(&constant_end);
  inherited_high = atomic_load(&tactical_begin);
  open_window(true, false);
  raise_low(inherited_low);
  lower_high(inherited_high);
}

bool heap_inherited(const void* p) {
  return (uintptr_t)p < inherited_low || (uintptr_t)p >= inherited_high;
}

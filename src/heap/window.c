#include "heap/window.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>

#define ALIGNMENT ((uintptr_t)1 << 30)

_Atomic(uintptr_t) heap_window_low = 0, heap_window_high = UINTPTR_MAX;

/* Until heap_range_init the range is empty: nothing is in it, nothing can be mapped in it. */
static uintptr_t base, top;
static _Atomic(uintptr_t) constant_end, tactical_begin;
/* Whether growth moves the window's bound: low while constants grow after settle, high while tactical
 * extents grow in the constant phase. */
static atomic_bool low_follows, high_follows;

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
  /* Before anyone can hold a block there. Lost races only ever leave the more careful bound. */
  if (role == HEAP_CONSTANT && atomic_load(&low_follows)) {
    uintptr_t low = atomic_load(&heap_window_low);
    while (low < next && !atomic_compare_exchange_weak(&heap_window_low, &low, next)) {
    }
  }
  if (role == HEAP_TACTICAL && atomic_load(&high_follows)) {
    uintptr_t high = atomic_load(&heap_window_high);
    while (high > next && !atomic_compare_exchange_weak(&heap_window_high, &high, next)) {
    }
  }
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

void heap_range_bounds(heap_role role, uintptr_t* begin, uintptr_t* end) {
  *begin = role == HEAP_CONSTANT ? base : atomic_load(&tactical_begin);
  *end = role == HEAP_CONSTANT ? atomic_load(&constant_end) : top;
}

static void set_window(uintptr_t low, uintptr_t high, bool follow_low, bool follow_high) {
  atomic_store(&low_follows, follow_low);
  atomic_store(&high_follows, follow_high);
  atomic_store(&heap_window_low, low);
  atomic_store(&heap_window_high, high);
}

void heap_window_everything(void) {
  set_window(0, UINTPTR_MAX, false, false);
}
void heap_window_without_tactical(void) {
  set_window(0, atomic_load(&tactical_begin), false, true);
}
void heap_window_after_settle(void) {
  set_window(atomic_load(&constant_end), UINTPTR_MAX, true, false);
}
void heap_window_in_child(void) {
  set_window(atomic_load(&constant_end), atomic_load(&tactical_begin), true, false);
}

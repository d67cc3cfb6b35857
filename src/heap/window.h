/* The heap's address range, and which part of it free() may treat as everyday memory.
 *
 *     base                                                             top
 *      | constant extents, growing up →      ...      ← tactical, growing down |
 *
 * Nothing is reserved: extents are mapped at the two frontiers with MAP_FIXED_NOREPLACE, in a stretch of the
 * address space (from 1/4 of it on) that the kernel does not use by itself, so address-space limits and VIRT
 * see only what is used. What cannot be mapped there is mapped anywhere, and works, unprotected.
 *
 * The *window* is the range of addresses whose blocks belong to what the process allocates now:
 *
 *     constant phase                  everything
 *     constant phase with scopes      below the tactical frontier
 *     after settle                    above the constant frontier
 *     forked child                    between both frontiers as they were at the fork
 *
 * A block outside of the window (inherited or constant) is never put into a thread cache and so never
 * handed out again. This makes one range check in free() enough, for any generation of children.
 *
 * Thread-safety: all functions may be called from any thread at any time, inside jemalloc's locks as well;
 * they take no lock. The bounds only ever shrink within a phase, so a stale read sends a block the slow way
 * at worst, or concerns a block that the reader cannot have. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { HEAP_CONSTANT, HEAP_TACTICAL } heap_role;

/* What malloc's fast path reads of a process, in one line of the cache; hidden, so that it is read directly
 * and not through the global offset table. The window is [low, low + span): `span` shrinks before `low`
 * rises, so whoever reads the two in the other order never takes too much for the window. */
typedef struct {
  _Alignas(64) _Atomic(uintptr_t) low;
  _Atomic(uintptr_t) span;
  _Atomic(unsigned) epoch; /* phase.h */
} heap_fast_state;
_Static_assert(sizeof(heap_fast_state) == 64, "nothing else lies in its line of the cache");
extern heap_fast_state heap_fast __attribute__((visibility("hidden")));

static inline bool heap_in_window(const void* p) {
  const uintptr_t above = (uintptr_t)p - atomic_load_explicit(&heap_fast.low, memory_order_acquire);
  return __builtin_expect(above < atomic_load_explicit(&heap_fast.span, memory_order_relaxed), 1);
}

/* Chooses the range; called once, before any other function here. */
void heap_range_init(void);

/* Maps `size` bytes (a multiple of the page size) of zeroed memory at the role's frontier, aligned to
 * `alignment` (a power of two). NULL when there is none. */
void* heap_range_map(heap_role role, size_t size, size_t alignment);

bool heap_in_range(const void* p);
bool heap_is_constant(const void* p); /* in what has been mapped for constants */
/* The bounds of what has been mapped for a role: [begin, end). */
void heap_range_bounds(heap_role role, uintptr_t* begin, uintptr_t* end);

/* In a forked child: whether an address of the range was its ancestors'. */
bool heap_inherited(const void* p);

void heap_window_everything(void);
void heap_window_without_tactical(void); /* constant phase, a tactical scope has been used */
void heap_window_after_settle(void);
void heap_window_in_child(void);

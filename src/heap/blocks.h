/* Allocating and freeing one block: the fast ways, inlined into every entry point, and the slow ones. */
#pragma once
#include <stddef.h>

#include "heap/jemalloc.h"
#include "heap/phase.h"
#include "heap/window.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

void* heap_allocate_slow(size_t size);
void* heap_calloc_slow(size_t count, size_t size);
void* heap_realloc_slow(void* p, size_t size);
/* For a power-of-two alignment; NULL with ENOMEM. */
void* heap_allocate_aligned(size_t alignment, size_t size);
/* For blocks outside the window, NULL too. */
void heap_free_slow(void* p);

static inline void* heap_allocate(size_t size) {
  if (likely(heap_thread_ready())) return je_malloc(size);
  return heap_allocate_slow(size);
}

/* Needs no ready thread: a cache holds blocks of the window alone (scopes allocate past it), and a thread
 * that has not noticed a change of phase yet empties its cache when it does, before it allocates from it. */
static inline void heap_free(void* p) {
  if (likely(heap_in_window(p)))
    je_free(p);
  else
    heap_free_slow(p);
}

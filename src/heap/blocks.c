#include "heap/blocks.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "heap/extents.h"
#include "heap/settle.h"

/* Blocks of this size have pages of their own. */
enum { LARGE = 1 << 16 };

void* heap_allocate_slow(size_t size) {
  int flags = heap_thread_enter();
  if (!flags) return je_malloc(size);
  void* p = je_mallocx(size ? size : 1, flags);
  if (!p) errno = ENOMEM;
  return p;
}

void* heap_calloc_slow(size_t count, size_t size) {
  int flags = heap_thread_enter();
  if (!flags) return je_calloc(count, size);
  size_t bytes;
  void* p = NULL;
  if (!__builtin_mul_overflow(count, size, &bytes)) p = je_mallocx(bytes ? bytes : 1, flags | MALLOCX_ZERO);
  if (!p) errno = ENOMEM;
  return p;
}

void* heap_allocate_aligned(size_t alignment, size_t size) {
  int flags = heap_thread_ready() ? 0 : heap_thread_enter();
  void* p =
      flags ? je_mallocx(size ? size : 1, flags | MALLOCX_ALIGN(alignment)) : je_memalign(alignment, size);
  if (!p) errno = ENOMEM;
  return p;
}

void heap_free_slow(void* p) {
  if (!p) return;
  int saved = errno;
  if (!heap_in_range(p)) { /* mapped when the range was used up */
    je_free(p);
  } else {
    size_t size = je_sallocx(p, 0);
    if (heap_is_constant(p)) heap_constants_freed(size);
    if (size >= LARGE) heap_extent_drop(p, size);
    /* Straight back to its arena, whose bookkeeping lies elsewhere; an ancestor's block not even that, since
     * nobody may use it again and its bookkeeping is shared too, unless the arena is this generation's now.
     */
    if (!heap_inherited(p) || heap_arena_taken_over(p)) je_dallocx(p, MALLOCX_TCACHE_NONE);
  }
  errno = saved;
}

void* heap_realloc_slow(void* p, size_t size) {
  int flags = heap_thread_ready() ? 0 : heap_thread_enter();
  if (!p) return heap_allocate(size);
  if (!flags && heap_in_window(p)) {
    void* moved = je_realloc(p, size);
    if (!moved && size) errno = ENOMEM;
    return moved;
  }
  if (!size) { /* as glibc: frees */
    heap_free(p);
    return NULL;
  }
  size_t old = je_sallocx(p, 0);
  if (size <= PTRDIFF_MAX && je_nallocx(size, 0) == old) return p; /* fits as it lies, nothing is written */
  void* fresh = heap_allocate(size);
  if (!fresh) return NULL; /* errno is set; p is untouched */
  memcpy(fresh, p, old < size ? old : size);
  heap_free(p);
  return fresh;
}

/* The public entry points. Each is the same three lines: the fast way when the thread is ready and the block
 * lies in the window, else the slow way. errno, ENOMEM, overflow and alignment behave as in glibc. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "heap/blocks.h"
#include "heap/jemalloc.h"

#define EXPORT __attribute__((visibility("default")))

/* ---- C ---- */

EXPORT void* malloc(size_t size) {
  return heap_allocate(size);
}

EXPORT void* calloc(size_t count, size_t size) {
  if (likely(heap_thread_ready())) return je_calloc(count, size);
  return heap_calloc_slow(count, size);
}

EXPORT void free(void* p) {
  heap_free(p);
}

EXPORT void* realloc(void* p, size_t size) {
  if (unlikely(!heap_thread_ready() || !heap_in_window(p) || !size)) return heap_realloc_slow(p, size);
  void* moved = je_realloc(p, size);
  if (unlikely(!moved)) errno = ENOMEM; /* jemalloc leaves it */
  return moved;
}

EXPORT void* reallocarray(void* p, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(p, bytes);
}

EXPORT int posix_memalign(void** result, size_t alignment, size_t size) {
  int flags = heap_thread_ready() ? 0 : heap_thread_enter();
  if (likely(!flags)) return je_posix_memalign(result, alignment, size);
  if (alignment < sizeof(void*) || (alignment & (alignment - 1))) return EINVAL;
  void* p = je_mallocx(size ? size : 1, flags | MALLOCX_ALIGN(alignment));
  if (!p) return ENOMEM;
  *result = p;
  return 0;
}

EXPORT void* memalign(size_t alignment, size_t size) {
  /* glibc rounds an alignment up to a power of two, and says EINVAL to one that cannot be. */
  if (alignment > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return NULL;
  }
  size_t power = 16;
  while (power < alignment) power <<= 1;
  return heap_allocate_aligned(power, size);
}

EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  if (!alignment || (alignment & (alignment - 1))) {
    errno = EINVAL;
    return NULL;
  }
  return heap_allocate_aligned(alignment, size);
}

EXPORT void* valloc(size_t size) {
  return heap_allocate_aligned((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void* pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (size > SIZE_MAX - page) {
    errno = ENOMEM;
    return NULL;
  }
  return valloc((size + page - 1) & ~(page - 1));
}

EXPORT size_t malloc_usable_size(void* p) {
  return je_malloc_usable_size(p);
}

/* ---- jemalloc's own interface, which redis and others use ---- */

static bool names_arena_or_cache(int flags) {
  return (flags & ~0xff) != 0;
}

EXPORT void* mallocx(size_t size, int flags) {
  int scope = heap_thread_ready() ? 0 : heap_thread_enter();
  return je_mallocx(size, names_arena_or_cache(flags) ? flags : flags | scope);
}

EXPORT void* rallocx(void* p, size_t size, int flags) {
  int scope = heap_thread_ready() ? 0 : heap_thread_enter();
  if (names_arena_or_cache(flags) || (!scope && heap_in_window(p))) return je_rallocx(p, size, flags);
  void* fresh = je_mallocx(size, flags | scope);
  if (!fresh) return NULL;
  size_t old = je_sallocx(p, 0);
  memcpy(fresh, p, old < size ? old : size);
  if ((flags & MALLOCX_ZERO) && size > old) memset((char*)fresh + old, 0, size - old);
  heap_free(p);
  return fresh;
}

EXPORT size_t xallocx(void* p, size_t size, size_t extra, int flags) {
  return heap_in_window(p) ? je_xallocx(p, size, extra, flags) : je_sallocx(p, flags);
}

EXPORT void dallocx(void* p, int flags) {
  if (likely(heap_in_window(p)) || !heap_in_range(p))
    je_dallocx(p, flags);
  else
    heap_free_slow(p);
}

EXPORT void sdallocx(void* p, size_t size, int flags) {
  if (likely(heap_in_window(p)))
    je_sdallocx(p, size, flags);
  else
    dallocx(p, flags);
}

EXPORT size_t sallocx(const void* p, int flags) {
  return je_sallocx(p, flags);
}
EXPORT size_t nallocx(size_t size, int flags) {
  return je_nallocx(size, flags);
}
EXPORT int mallctl(const char* name, void* old, size_t* old_length, void* fresh, size_t length) {
  return je_mallctl(name, old, old_length, fresh, length);
}
EXPORT int mallctlnametomib(const char* name, size_t* mib, size_t* length) {
  return je_mallctlnametomib(name, mib, length);
}
EXPORT int mallctlbymib(const size_t* mib, size_t mib_length, void* old, size_t* old_length, void* fresh,
                        size_t length) {
  return je_mallctlbymib(mib, mib_length, old, old_length, fresh, length);
}
EXPORT void malloc_stats_print(void (*write_line)(void*, const char*), void* context, const char* options) {
  je_malloc_stats_print(write_line, context, options);
}

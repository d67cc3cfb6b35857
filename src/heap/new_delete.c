/* C++ operator new and delete in C, under their mangled names, because nothing that is preloaded may link
 * libstdc++. When memory runs out, the program's own libstdc++ (next in symbol order) does what the standard
 * asks: calls the new-handler, throws std::bad_alloc. Sizes are size_t = unsigned long = `m` (LP64). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "heap/blocks.h"

#define EXPORT __attribute__((visibility("default")))
#define COLD __attribute__((noinline, cold))

/* No C++ library in reach (a C program that loads a C++ plugin privately) cannot be told of bad_alloc. */
static void* standard(const char* symbol) {
  void* next = dlsym(RTLD_NEXT, symbol);
  if (next) return next;
  static const char message[] = "samepage: operator new: out of memory\n";
  if (write(2, message, sizeof message - 1) < 0) abort();
  abort();
}

COLD static void* failed(const char* symbol, size_t size) {
  return ((void* (*)(size_t))standard(symbol))(size);
}
COLD static void* failed_aligned(const char* symbol, size_t size, size_t alignment) {
  return ((void* (*)(size_t, size_t))standard(symbol))(size, alignment);
}

static void* allocate_aligned(size_t size, size_t alignment) {
  return heap_allocate_aligned(alignment, size);
}

#define NEW(symbol)                               \
  EXPORT void* symbol(size_t size);               \
  EXPORT void* symbol(size_t size) {              \
    void* p = heap_allocate(size);                \
    return likely(p) ? p : failed(#symbol, size); \
  }
#define NEW_ALIGNED(symbol)                                          \
  EXPORT void* symbol(size_t size, size_t alignment);                \
  EXPORT void* symbol(size_t size, size_t alignment) {               \
    void* p = allocate_aligned(size, alignment);                     \
    return likely(p) ? p : failed_aligned(#symbol, size, alignment); \
  }
/* The nothrow forms also call the new-handler first: libstdc++'s own do. */
#define NEW_NOTHROW(symbol)                                                                    \
  EXPORT void* symbol(size_t size, const void* nothrow);                                       \
  EXPORT void* symbol(size_t size, const void* nothrow) {                                      \
    void* p = heap_allocate(size);                                                             \
    return likely(p) ? p : ((void* (*)(size_t, const void*))standard(#symbol))(size, nothrow); \
  }
#define NEW_ALIGNED_NOTHROW(symbol)                                                                     \
  EXPORT void* symbol(size_t size, size_t alignment, const void* nothrow);                              \
  EXPORT void* symbol(size_t size, size_t alignment, const void* nothrow) {                             \
    void* p = allocate_aligned(size, alignment);                                                        \
    return likely(p)                                                                                    \
               ? p                                                                                      \
               : ((void* (*)(size_t, size_t, const void*))standard(#symbol))(size, alignment, nothrow); \
  }
#define DELETE(symbol)          \
  EXPORT void symbol(void* p);  \
  EXPORT void symbol(void* p) { \
    heap_free(p);               \
  }
/* What follows the block does not matter for finding it: nothrow tag, alignment, size, or two of them. A size
 * may be wrong in a program that works with glibc (an object deleted through its base class): jemalloc would
 * believe it. */
#define DELETE_WITH(symbol, ...)             \
  EXPORT void symbol(void* p, __VA_ARGS__);  \
  EXPORT void symbol(void* p, __VA_ARGS__) { \
    heap_free(p);                            \
  }

NEW(_Znwm)
NEW(_Znam)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE_WITH(_ZdlPvm, __attribute__((unused)) size_t size)
DELETE_WITH(_ZdaPvm, __attribute__((unused)) size_t size)
DELETE_WITH(_ZdlPvRKSt9nothrow_t, __attribute__((unused)) const void* nothrow)
DELETE_WITH(_ZdaPvRKSt9nothrow_t, __attribute__((unused)) const void* nothrow)
DELETE_WITH(_ZdlPvSt11align_val_t, __attribute__((unused)) size_t alignment)
DELETE_WITH(_ZdaPvSt11align_val_t, __attribute__((unused)) size_t alignment)
DELETE_WITH(_ZdlPvSt11align_val_tRKSt9nothrow_t, __attribute__((unused)) size_t alignment,
            __attribute__((unused)) const void* nothrow)
DELETE_WITH(_ZdaPvSt11align_val_tRKSt9nothrow_t, __attribute__((unused)) size_t alignment,
            __attribute__((unused)) const void* nothrow)
DELETE_WITH(_ZdlPvmSt11align_val_t, __attribute__((unused)) size_t size,
            __attribute__((unused)) size_t alignment)
DELETE_WITH(_ZdaPvmSt11align_val_t, __attribute__((unused)) size_t size,
            __attribute__((unused)) size_t alignment)

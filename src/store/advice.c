/* madvise(2) through libc: memory that a program gives up is zero when it is read again, whatever the store
 * has mapped there. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "heap/window.h"
#include "store/pages.h"
#include "store/share.h"
#include "store/system.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif

static bool gives_up(int advice) {
  return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_DONTNEED_LOCKED;
}

__attribute__((visibility("default"))) int madvise(void* begin, size_t size, int advice) {
  const uintptr_t at = (uintptr_t)begin;
  if (!gives_up(advice) || at % STORE_PAGE || !heap_is_constant(begin))
    return (int)store_call(SYS_madvise, begin, size, advice);
  const size_t pages = (size + STORE_PAGE - 1) & -(size_t)STORE_PAGE;
  if (store_discard_all(at, pages)) {
    const int result = (int)store_call(SYS_madvise, begin, size, advice);
    /* What another thread has mapped there meanwhile shows instead of zeros. */
    if (result || store_discard_all(at, pages)) return result;
  }
  errno = EAGAIN;
  return -1;
}

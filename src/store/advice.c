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

__attribute__((visibility("default"))) int madvise(void* begin, size_t size, int advice) {
  const uintptr_t at = (uintptr_t)begin, pages = (size + STORE_PAGE - 1) & -(size_t)STORE_PAGE;
  const bool gives_up = advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_DONTNEED_LOCKED;
  if (gives_up && at % STORE_PAGE == 0 && heap_is_constant(begin) && !store_discard_all(at, pages)) {
    errno = EAGAIN;
    return -1;
  }
  return (int)store_call(SYS_madvise, begin, size, advice);
}

/* madvise(2) through libc: memory that a program gives up is zero when it is read again, whatever the store
 * has mapped there, and memory for which it sets rules keeps them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "heap/window.h"
#include "store/config.h"
#include "store/pages.h"
#include "store/share.h"
#include "store/system.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

static bool gives_up(int advice) {
  return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_DONTNEED_LOCKED;
}

static bool sets_rules(int advice) {
  return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_DONTDUMP ||
         advice == MADV_GUARD_INSTALL;
}

/* By the kernel, which tells where the program may not write. */
static bool make_zero(uintptr_t begin, size_t size) {
  if (store_config.mode == STORE_OFF) return false; /* a sandbox, perhaps */
  const int fd = (int)store_call(SYS_openat, AT_FDCWD, "/dev/zero", O_RDONLY | O_CLOEXEC);
  long got;
  size_t at = 0;
  while (fd >= 0 && at < size && (got = store_call(SYS_read, fd, begin + at, size - at)) > 0)
    at += (size_t)got;
  if (fd >= 0) store_call(SYS_close, fd);
  return at == size;
}

__attribute__((visibility("default"))) int madvise(void* begin, size_t size, int advice) {
  const uintptr_t at = (uintptr_t)begin;
  const size_t pages = (size + STORE_PAGE - 1) & -(size_t)STORE_PAGE;
  const bool is_ours = at % STORE_PAGE == 0 && heap_is_constant(begin);
  if (is_ours && sets_rules(advice)) {
    const int saved = errno;
    const bool plain = store_exempt(at, at + pages);
    errno = saved;
    if (!plain && advice == MADV_GUARD_INSTALL) { /* the store would read there */
      errno = EAGAIN;
      return -1;
    }
  }
  if (!is_ours || !gives_up(advice)) return (int)store_call(SYS_madvise, begin, size, advice);
  if (store_give_up(at, pages) || make_zero(at, pages)) {
    const int result = (int)store_call(SYS_madvise, begin, size, advice);
    /* What another thread has mapped there meanwhile shows now. */
    if (result || store_give_up(at, pages) || make_zero(at, pages)) return result;
  }
  errno = EAGAIN;
  return -1;
}

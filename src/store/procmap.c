#define _GNU_SOURCE
#include "store/procmap.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "store/system.h"

/* linux/fs.h of Linux 6.11; Debian 12's is older. */
struct procmap_query {
  uint64_t size, query_flags, query_addr;
  uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
  uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
  uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)

enum { READABLE = 1, WRITABLE = 2, EXECUTABLE = 4, SHARED = 8, COVERING_OR_NEXT = 16, NAME_MOST = 256 };

static long ask(int maps, struct procmap_query* query) {
  return store_call(SYS_ioctl, maps, PROCMAP_QUERY, query);
}

int store_procmap_next(int maps, uintptr_t from, store_procmap_kind kind, store_procmap* found) {
  static char name[NAME_MOST];
  struct procmap_query query = {
      .size = sizeof query,
      .query_flags = COVERING_OR_NEXT | (kind == STORE_SHARED ? SHARED : READABLE | WRITABLE),
      .query_addr = from,
      .vma_name_size = NAME_MOST,
      .vma_name_addr = (uintptr_t)name};
  long error = ask(maps, &query);
  const bool too_long = error && errno == ENAMETOOLONG; /* some file's */
  if (too_long) {
    query.vma_name_size = 0;
    query.vma_name_addr = 0;
    error = ask(maps, &query);
  }
  if (error) return errno == ENOENT ? 0 : -1;
  const uint64_t all = READABLE | WRITABLE | EXECUTABLE | SHARED;
  *found = (store_procmap){.begin = query.vma_start,
                           .end = query.vma_end,
                           .is_plain = (query.vma_flags & all) == (READABLE | WRITABLE),
                           .name = too_long              ? "/"
                                   : query.vma_name_size ? name
                                                         : ""};
  return 1;
}

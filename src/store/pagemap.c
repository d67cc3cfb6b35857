#define _GNU_SOURCE
#include "store/pagemap.h"

#include <fcntl.h>

#include "store/statistics.h"
#include "store/system.h"

int store_pagemap_open(void) {
  const int fd = (int)store_call(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) store_refuse(SAMEPAGE_STORE_PAGEMAP);
  return fd;
}

bool store_pagemap_read(int pagemap, uintptr_t address, uint64_t entries[STORE_CHUNK]) {
  const size_t size = STORE_CHUNK * sizeof *entries;
  return store_call(SYS_pread64, pagemap, entries, size, (long)(address / STORE_PAGE * sizeof *entries)) ==
         (long)size;
}

/* A process's own part of KSM: madvise(2), PR_SET_MEMORY_MERGE, /proc/self/ksm_stat. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "samepage/samepage.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* Linux 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif

enum { kRmapItemBytes = 64 /* struct ksm_rmap_item of mm/ksm.c */ };

static int advise(const void* begin, size_t size, int advice) {
  if (!begin || !size || (uintptr_t)begin + size < (uintptr_t)begin) return SAMEPAGE_INVALID;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = ((uintptr_t)begin + page - 1) & ~(page - 1);
  uintptr_t end = ((uintptr_t)begin + size) & ~(page - 1);
  if (first >= end || madvise((void*)first, end - first, advice) == 0) return SAMEPAGE_OK;
  return errno == EINVAL ? SAMEPAGE_NO_KSM : SAMEPAGE_SYSTEM;
}

int samepage_ksm_register(const void* begin, size_t size) {
  return advise(begin, size, MADV_MERGEABLE);
}

int samepage_ksm_deregister(const void* begin, size_t size) {
  return advise(begin, size, MADV_UNMERGEABLE);
}

static int merge_all(unsigned long on) {
  if (prctl(PR_SET_MEMORY_MERGE, on, 0UL, 0UL, 0UL) == 0) return SAMEPAGE_OK;
  return errno == EINVAL ? SAMEPAGE_NO_KSM : SAMEPAGE_SYSTEM;
}

int samepage_ksm_register_all(void) {
  return merge_all(1);
}

int samepage_ksm_deregister_all(void) {
  return merge_all(0);
}

/* The whole of a small file as a string; -1 with errno. */
static ssize_t read_text(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t got = read(fd, text, size - 1);
  close(fd);
  text[got > 0 ? got : 0] = 0;
  return got;
}

/* The number after `name` at the start of a line; 0 if there is none. */
static long long value_of(const char* text, const char* name) {
  size_t length = strlen(name);
  for (const char* line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, name, length) == 0) return strtoll(line + length, NULL, 10);
  }
  return 0;
}

int samepage_ksm_statistics(samepage_ksm_stats* stats) {
  if (!stats) return SAMEPAGE_INVALID;
  memset(stats, 0, sizeof *stats);
  char text[1024];
  if (read_text("/proc/self/ksm_stat", text, sizeof text) < 0)
    return errno == ENOENT ? SAMEPAGE_NO_KSM : SAMEPAGE_SYSTEM;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  long long items = value_of(text, "ksm_rmap_items ");
  stats->zero = (size_t)value_of(text, "ksm_zero_pages ") * page;
  stats->looked_at = (size_t)items * page;
  stats->registered_all = prctl(PR_GET_MEMORY_MERGE, 0UL, 0UL, 0UL, 0UL) == 1;
  long long merging = value_of(text, "ksm_merging_pages ");
  /* Linux 6.1 keeps it in a file of its own. */
  if (!strstr(text, "ksm_merging_pages ") && read_text("/proc/self/ksm_merging_pages", text, sizeof text) > 0)
    merging = strtoll(text, NULL, 10);
  stats->merged = (size_t)merging * page;
  stats->profit = (long long)(stats->merged + stats->zero) - items * kRmapItemBytes;
  return SAMEPAGE_OK;
}

#include "samepage/samepage.h"

#include <stdio.h>
#include <string.h>

#define CHECK(x) \
  if (!(x)) return fprintf(stderr, "failed: %s\n", #x), 1

int main(int argc, char** argv) {
  int with = argc > 1 && strcmp(argv[1], "with") == 0;
  samepage_heap_stats stats;
  memset(&stats, 0, sizeof stats);
  CHECK(strcmp(samepage_version(), "") != 0);
  CHECK(strcmp(samepage_error_string(-7), "unknown error") == 0);
  CHECK(samepage_heap_statistics(NULL) == SAMEPAGE_INVALID);
  CHECK(samepage_heap_statistics(&stats) == (with ? SAMEPAGE_OK : SAMEPAGE_NO_HEAP));
  CHECK(stats.settled == 0);
  CHECK(samepage_constant_begin() == (with ? SAMEPAGE_OK : SAMEPAGE_NO_HEAP));
  CHECK(samepage_scope_end() == (with ? SAMEPAGE_OK : SAMEPAGE_NO_HEAP));
  CHECK(samepage_settle() == (with ? SAMEPAGE_OK : SAMEPAGE_NO_HEAP));
  CHECK(samepage_settle() == (with ? SAMEPAGE_ALREADY_SETTLED : SAMEPAGE_NO_HEAP));
  CHECK(samepage_heap_statistics(&stats) == (with ? SAMEPAGE_OK : SAMEPAGE_NO_HEAP));
  CHECK(stats.settled == with);
  return 0;
}

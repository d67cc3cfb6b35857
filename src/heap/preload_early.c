/* A library whose constructor allocates before any other code of preload_test: the heap's first call comes
 * before the heap's own constructor, as it does in programs whose libraries allocate while they load. */
#include <stdlib.h>
#include <string.h>

static char* early;
__attribute__((constructor)) static void allocate_early(void) {
  early = malloc(100);
  strcpy(early, "early");
  early = realloc(early, 10000);
}
__attribute__((visibility("default"))) const char* early_text(void) {
  return early;
}
__attribute__((destructor)) static void free_late(void) {
  free(early);
}

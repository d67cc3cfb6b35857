/* What the heap's functions do where no heap is: nothing. A heap in the process has the same symbols and
 * stands before this library in the loader's search order, preloaded as it is, so its functions are called
 * instead. */
#include <stddef.h>

#include "samepage/samepage.h"

int samepage_settle(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_constant_begin(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_tactical_begin(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_scope_end(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_heap_statistics(samepage_heap_stats* stats) {
  return stats ? SAMEPAGE_NO_HEAP : SAMEPAGE_INVALID;
}
int samepage_allocate_in_store(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_seal(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_reshare(void) {
  return SAMEPAGE_NO_HEAP;
}
int samepage_unseal(void) {
  return SAMEPAGE_NO_HEAP;
}
const char* samepage_store_reason_name(int reason) {
  (void)reason;
  return NULL;
}
int samepage_store_statistics(samepage_store_stats* stats) {
  return stats ? SAMEPAGE_NO_HEAP : SAMEPAGE_INVALID;
}

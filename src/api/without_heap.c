/* What the heap's functions do where no heap is: nothing. A heap in the process has the same symbols and
 * stands before this library in the loader's search order, preloaded as it is, so its functions are called
 * instead. */
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

/* include/samepage/samepage.h, the part that only a heap in the process can do. A program that links
 * libsamepage.so finds these before that library's own, which say that there is no heap. */
#include "heap/extents.h"
#include "heap/ksm_advice.h"
#include "heap/phase.h"
#include "heap/settle.h"
#include "samepage/samepage.h"

int samepage_settle(void) {
  return heap_settle() ? SAMEPAGE_OK : SAMEPAGE_ALREADY_SETTLED;
}

int samepage_constant_begin(void) {
  heap_scope_begin(HEAP_CONSTANT);
  return SAMEPAGE_OK;
}
int samepage_tactical_begin(void) {
  heap_scope_begin(HEAP_TACTICAL);
  return SAMEPAGE_OK;
}
int samepage_scope_end(void) {
  heap_scope_end();
  return SAMEPAGE_OK;
}

int samepage_heap_statistics(samepage_heap_stats* stats) {
  if (!stats) return SAMEPAGE_INVALID;
  heap_thread_enter();
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  stats->constant_mapped = end - begin;
  heap_range_bounds(HEAP_TACTICAL, &begin, &end);
  stats->tactical_mapped = end - begin;
  stats->constant_active = heap_arenas_active(HEAP_CONSTANT);
  stats->tactical_active = heap_arenas_active(HEAP_TACTICAL);
  stats->ksm_registered = heap_ksm_registered();
  stats->constant_freed = heap_constants_freed_total();
  stats->generation = heap_generation();
  stats->settled = heap_default_role() == HEAP_TACTICAL;
  return SAMEPAGE_OK;
}

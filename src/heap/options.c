/* jemalloc's options. */
#include "heap/options.h"

#include <stdbool.h>
#include <stddef.h>

#include "heap/jemalloc.h"

/* What the heap stands on; read after all others, so that MALLOC_CONF and a program's own malloc_conf keep
 * their say in everything else.
 * - narenas:1: threads are bound to arenas of ours; arena 0 is left for jemalloc's own needs.
 * - oversize_threshold:0: large blocks too come from the arena of the thread, so from its role's range.
 * - hpa:false, san_guard_*:0: extents come from extents.c, and are whole.
 * - prof:false: the profiler needs libm and libgcc_s, and what is preloaded links libc alone (the references
 *   are weak, see CMakeLists.txt). */
const char* malloc_conf_2_conf_harder =
    "narenas:1,oversize_threshold:0,hpa:false,san_guard_small:0,san_guard_large:0,prof:false";

/* After how many bytes a thread looks over its cache. With 256 kB small blocks are 8 % faster than with
 * jemalloc's 64 kB; a forked worker looks more often, as what its threads cache is private to it. Not in
 * malloc_conf, which another jemalloc in the process would read too; and only where the user has not chosen
 * otherwise. */
enum { ITS_LOOK = 64 << 10, OUR_LOOK = 256 << 10, LOOK_OF_A_WORKER = 32 << 10 };
extern size_t je_opt_tcache_gc_incr_bytes;

static bool changed;

void heap_options_init(void) {
  changed = je_opt_tcache_gc_incr_bytes == ITS_LOOK;
  if (changed) je_opt_tcache_gc_incr_bytes = OUR_LOOK;
}

void heap_options_of_a_worker(void) {
  if (changed) je_opt_tcache_gc_incr_bytes = LOOK_OF_A_WORKER;
}

/* jemalloc's options that the heap stands on; read after all others, so that MALLOC_CONF and a program's own
 * malloc_conf keep their say in everything else.
 * - narenas:1: threads are bound to arenas of ours; arena 0 is left for jemalloc's own needs.
 * - oversize_threshold:0: large blocks too come from the arena of the thread, so from its role's range.
 * - prof:false: the profiler needs libm and libgcc_s, and what is preloaded links libc alone (the references
 *   are weak, see CMakeLists.txt). */
#include "heap/jemalloc.h"

const char* malloc_conf_2_conf_harder = "narenas:1,oversize_threshold:0,prof:false";
